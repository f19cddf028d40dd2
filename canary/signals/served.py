"""Does the candidate hit its prefix cache less, or keep its objectives less often?"""

from __future__ import annotations

from collections.abc import Iterator

from canary.plan import Plan
from canary.policy import GoodputRule, HitRateRule
from canary.records import Comparison, Scale
from canary.signals.levels import final_levels
from canary.signals.reading import Reading, dense, read, seed_of
from canary.signals.wording import Unit
from canary.stats.strata import compare_pooled


def served_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """The paired difference of shares; a fall is harm."""
    rule: HitRateRule | GoodputRule | None = plan.policy.cache.hit_rate
    if comparison.kind == "goodput":
        rule = plan.policy.goodput
    if rule is None:
        return
    margin, binary = rule.max_drop, comparison.scale is Scale.PASS_FAIL and comparison.repeat == 1
    yield read(
        comparison,
        lambda: compare_pooled(
            comparison.baseline,
            comparison.candidate,
            dense(comparison.clusters),
            comparison.strata,
            comparison.weights,
            margin=margin,
            alpha=final_levels(plan).promote,
            kind="binary" if binary else "bounded",
            seed=seed_of(plan, comparison.name),
        ),
        name=comparison.name,
        metric=comparison.metric,
        tier=rule.tier,
        effect="difference",
        unit=Unit.SHARE,
        worse=-1,
        margin=margin,
    )
