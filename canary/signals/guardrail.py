"""Is more rejected, for any class, and does the check take longer?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from canary.plan import Plan
from canary.records import Comparison, Tier
from canary.signals.reading import Reading, as_rate_of_harm, compare_shares, read
from canary.signals.wording import Unit
from canary.stats.results import Finding
from canary.stats.strata import Kind


def guardrail_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """The paired difference of the shares rejected for one class; a rise is harm."""
    rule = plan.policy.guardrail.rule(comparison.metric)
    kind: Kind = "binary" if comparison.repeat == 1 else "bounded"
    yield read(
        comparison,
        lambda: as_rate_of_harm(compare_shares(comparison, plan, margin=rule.max_increase, kind=kind)),
        name=comparison.name,
        metric=comparison.metric,
        tier=rule.tier,
        effect="difference",
        unit=Unit.SHARE,
        worse=1,
        margin=rule.max_increase,
    )


def added_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """The paired difference of the seconds a check adds; shown, never decides."""
    most = plan.policy.guardrail.max_added_s
    faster = replace(comparison, baseline=-comparison.baseline, candidate=-comparison.candidate)
    reading = read(
        comparison,
        lambda: _as_seconds(compare_shares(faster, plan, margin=most, kind="unbounded")),
        name=comparison.name,
        metric=comparison.metric,
        tier=Tier.ADVISORY,
        effect="difference",
        unit=Unit.SECONDS,
        worse=1,
        margin=most,
    )
    yield replace(reading, kind="latency")


def _as_seconds(finding: Finding) -> Finding:
    """The same finding about time instead of time with its sign turned, where higher was better."""
    estimate = finding.estimate
    turned = replace(estimate, center=0 - estimate.center, low=0 - estimate.high, high=0 - estimate.low)
    return replace(finding, estimate=turned, baseline=0 - finding.baseline, candidate=0 - finding.candidate)
