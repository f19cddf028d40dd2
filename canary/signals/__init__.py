"""Comparisons in, signals out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from canary.plan import Plan
from canary.records import Comparison, Signal
from canary.signals.cost import cost_signals
from canary.signals.drift import drift_signals
from canary.signals.errors import error_signals
from canary.signals.guardrail import added_signals, guardrail_signals
from canary.signals.latency import latency_signals
from canary.signals.levels import final_levels
from canary.signals.noise import mind_noise
from canary.signals.quality import floor_signals, quality_signals
from canary.signals.reading import Proof, Reading
from canary.signals.served import served_signals
from canary.signals.status import settle
from canary.signals.traffic import measure_traffic

__all__ = ["SIGNALS", "measure", "measure_traffic", "read_all"]

SIGNALS: dict[str, Callable[[Comparison, Plan], Iterator[Reading]]] = {
    "quality": quality_signals,
    "floor": floor_signals,
    "errors": error_signals,
    "guardrail": guardrail_signals,
    "added": added_signals,
    "latency": latency_signals,
    "cost": cost_signals,
    "cache": served_signals,
    "goodput": served_signals,
    "drift": drift_signals,
}
"""Kind of comparison to the signals read from it."""


def measure(
    comparisons: Sequence[Comparison], plan: Plan, proofs: Mapping[str, Proof] | None = None
) -> tuple[Signal, ...]:
    """Every signal with its status, in the order of the comparisons.

    `proofs` are what ended the run early, by the name of the signal.
    """
    return settle(read_all(comparisons, plan), plan.policy, final_levels(plan), proofs)


def read_all(comparisons: Sequence[Comparison], plan: Plan) -> tuple[Reading, ...]:
    """What every signal has measured, before the family of tests is known."""
    readings = [reading for comparison in comparisons for reading in SIGNALS[comparison.kind](comparison, plan)]
    return mind_noise(readings, plan)
