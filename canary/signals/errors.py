"""Does the candidate fail more often? One signal per kind of error."""

from __future__ import annotations

from collections.abc import Iterator

from canary.plan import Plan
from canary.policy import ErrorRule, GuardrailRule
from canary.records import Comparison
from canary.signals.reading import Reading, as_rate_of_harm, compare_shares, read
from canary.signals.wording import Unit
from canary.stats.strata import Kind


def error_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """The paired difference of error rates; a rise is harm."""
    yield read_rate(comparison, plan, getattr(plan.policy.errors, comparison.metric))


def read_rate(comparison: Comparison, plan: Plan, rule: ErrorRule | GuardrailRule) -> Reading:
    """The paired difference of the shares that went wrong, given those that did not."""
    kind: Kind = "binary" if comparison.repeat == 1 else "bounded"
    return read(
        comparison,
        lambda: as_rate_of_harm(compare_shares(comparison, plan, margin=rule.max_increase, kind=kind)),
        tier=rule.tier,
        effect="difference",
        unit=Unit.SHARE,
        worse=1,
        margin=rule.max_increase,
    )
