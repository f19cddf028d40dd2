"""Is more rejected, for any class, and does the check take longer?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from canary.plan import Plan
from canary.records import Comparison, Tier
from canary.signals.errors import read_rate
from canary.signals.reading import Reading, compare_shares, read, turned
from canary.signals.wording import Unit


def guardrail_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """The paired difference of the shares rejected for one class; a rise is harm."""
    yield read_rate(comparison, plan, plan.policy.guardrail.rule(comparison.metric))


def added_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """The paired difference of the seconds a check adds; shown, never decides."""
    most = plan.policy.guardrail.max_added_s
    faster = replace(comparison, baseline=-comparison.baseline, candidate=-comparison.candidate)
    reading = read(
        comparison,
        lambda: turned(compare_shares(faster, plan, margin=most, kind="unbounded"), 0),
        tier=Tier.ADVISORY,
        effect="difference",
        unit=Unit.SECONDS,
        worse=1,
        margin=most,
    )
    yield replace(reading, kind="latency")
