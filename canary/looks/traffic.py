"""What looks at routed traffic may spend; any request ends the window, so none is saved."""

from __future__ import annotations

from canary.plan import Plan
from canary.records import Evidence, Looks
from canary.signals.levels import final_levels, look_levels


def described_traffic(evidence: Evidence, plan: Plan) -> Looks | None:
    """The split of the promises, for the verdict; None where the shares are unknown and no look may decide."""
    if not plan.early_stopping:
        return None
    return Looks(
        alpha=look_levels(plan).model_dump(),
        final=final_levels(plan).model_dump(),
        cases=len(evidence.responses),
        seen=len(evidence.responses),
        stopped_at=None,
        signal=None,
        e_value=None,
        saved=None,
        saved_s=None,
    )
