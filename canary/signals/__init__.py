"""Comparisons in, signals out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from canary.plan import Plan
from canary.records import Comparison, Signal
from canary.signals.cost import cost_signals
from canary.signals.drift import drift_signals
from canary.signals.errors import error_signals
from canary.signals.latency import latency_signals
from canary.signals.noise import mind_noise
from canary.signals.quality import floor_signals, quality_signals
from canary.signals.reading import Reading
from canary.signals.status import settle

__all__ = ["SIGNALS", "measure"]

SIGNALS: dict[str, Callable[[Comparison, Plan], Iterator[Reading]]] = {
    "quality": quality_signals,
    "floor": floor_signals,
    "errors": error_signals,
    "latency": latency_signals,
    "cost": cost_signals,
    "drift": drift_signals,
}
"""Kind of comparison to the signals read from it."""


def measure(comparisons: Sequence[Comparison], plan: Plan) -> tuple[Signal, ...]:
    """Every signal with its status, in the order of the comparisons."""
    readings = [reading for comparison in comparisons for reading in SIGNALS[comparison.kind](comparison, plan)]
    return settle(mind_noise(readings, plan), plan.policy)
