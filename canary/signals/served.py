"""Does the candidate hit its prefix cache less, or keep its objectives less often?"""

from __future__ import annotations

from collections.abc import Iterator

from canary.plan import Plan
from canary.policy import GoodputRule, HitRateRule
from canary.records import Comparison, Scale
from canary.signals.reading import Reading, compare_shares, read
from canary.signals.wording import Unit


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
        lambda: compare_shares(comparison, plan, margin=margin, kind="binary" if binary else "bounded"),
        tier=rule.tier,
        effect="difference",
        unit=Unit.SHARE,
        worse=-1,
        margin=margin,
    )
