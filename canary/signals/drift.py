"""Did answers move? Advisory always: it explains, it does not decide."""

from __future__ import annotations

import math
from collections.abc import Iterator

from canary.plan import Plan
from canary.records import Comparison, Measurement, Tier
from canary.signals.levels import final_levels
from canary.signals.reading import Reading, dense, read, seed_of
from canary.signals.wording import Unit
from canary.stats.drift import compare_perplexity
from canary.stats.results import Estimate, Finding, Test


def drift_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """Perplexity as a ratio; embeddings as the distance that was tested at the edge."""
    measured = comparison.measured
    rule, alpha = plan.policy.drift.perplexity, final_levels(plan).promote
    ratio = measured is None
    yield read(
        comparison,
        lambda: _moved(measured, alpha) if measured is not None else _perplexity(comparison, plan),
        tier=Tier.ADVISORY,
        effect="ratio" if ratio else "difference",
        unit=Unit.SCORE,
        worse=1,
        margin=rule.max_ratio if ratio else 0.0,
    )


def _perplexity(comparison: Comparison, plan: Plan) -> Finding:
    return compare_perplexity(
        comparison.baseline,
        comparison.candidate,
        dense(comparison.clusters),
        max_ratio=plan.policy.drift.perplexity.max_ratio,
        alpha=final_levels(plan).promote,
        seed=seed_of(plan, comparison.name),
    )


def _moved(measured: Measurement, alpha: float) -> Finding:
    """Drift can be found, never excluded: there is no margin to be inside of."""
    estimate = Estimate(
        center=measured.value,
        low=-math.inf,
        high=math.inf,
        confidence=1 - 2 * alpha,
        n=measured.n,
        method=measured.method,
    )
    return Finding(
        estimate=estimate,
        harm=Test(p=measured.p, n=measured.n, method=measured.method),
        noninferior=Test(p=1.0, n=measured.n, method="none"),
        can_reject=True,
        baseline=0.0,
        candidate=measured.value,
        margin=0.0,
        method=measured.method,
        warnings=measured.warnings,
    )
