"""What of each promise the looks during a run may spend, and what the final test."""

from __future__ import annotations

from canary.plan import Plan
from canary.policy import Alpha
from canary.stats.sequential import split_alpha


def look_levels(plan: Plan) -> Alpha:
    """Levels of the e-processes of a run that is looked at."""
    return _part(plan, 0)


def final_levels(plan: Plan) -> Alpha:
    """Levels of the fixed tests: the whole promise, or what the looks leave of it."""
    return _part(plan, 1) if plan.early_stopping else plan.policy.alpha


def _part(plan: Plan, part: int) -> Alpha:
    rollback, promote = (
        round(split_alpha(alpha)[part], 12) for alpha in (plan.policy.alpha.rollback, plan.policy.alpha.promote)
    )
    return Alpha(rollback=rollback, promote=promote)
