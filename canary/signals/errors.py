"""Does the candidate fail more often? One signal per kind of error."""

from __future__ import annotations

from collections.abc import Iterator

from canary.plan import Plan
from canary.policy import ErrorRule
from canary.records import Comparison
from canary.signals.levels import final_levels
from canary.signals.reading import Reading, as_rate_of_harm, dense, read, seed_of
from canary.signals.wording import Unit
from canary.stats.results import Finding
from canary.stats.strata import compare_pooled


def error_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """The paired difference of error rates; a rise is harm."""
    rule: ErrorRule = getattr(plan.policy.errors, comparison.metric)
    yield read(
        comparison,
        lambda: _test(comparison, plan, rule.max_increase),
        name=comparison.name,
        metric=comparison.metric,
        tier=rule.tier,
        effect="difference",
        unit=Unit.SHARE,
        worse=1,
        margin=rule.max_increase,
    )


def _test(comparison: Comparison, plan: Plan, margin: float) -> Finding:
    return as_rate_of_harm(
        compare_pooled(
            comparison.baseline,
            comparison.candidate,
            dense(comparison.clusters),
            comparison.strata,
            comparison.weights,
            margin=margin,
            alpha=final_levels(plan).promote,
            kind="binary" if comparison.repeat == 1 else "bounded",
            seed=seed_of(plan, comparison.name),
        )
    )
