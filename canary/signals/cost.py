"""Does a request cost more?"""

from __future__ import annotations

from collections.abc import Iterator

from canary.plan import Plan
from canary.policy import CostRule
from canary.records import Comparison
from canary.signals.levels import final_levels
from canary.signals.reading import Reading, dense, read
from canary.signals.wording import Unit
from canary.stats.cost import compare_ratio_of_means


def cost_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """The ratio of mean costs, paired by prompt."""
    rule: CostRule = getattr(plan.policy.cost, comparison.metric)
    yield read(
        comparison,
        lambda: compare_ratio_of_means(
            comparison.baseline,
            comparison.candidate,
            dense(comparison.clusters),
            max_ratio=rule.max_ratio,
            alpha=final_levels(plan).promote,
            in_time=comparison.timed,
        ),
        tier=rule.tier,
        effect="ratio",
        unit=Unit.DOLLARS,
        worse=1,
        margin=rule.max_ratio,
    )
