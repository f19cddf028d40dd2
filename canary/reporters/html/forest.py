"""Where every estimate, interval and margin stands on a common axis.

Only places are computed here, in percent of the axis; the template draws them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from canary.records import Signal, Tier
from canary.reporters.quantity import change, direction, nothing
from canary.reporters.ranking import is_pooled
from canary.reporters.sheet import Row, Sheet
from canary.signals.wording import COUNTED, Unit

_PAD = 0.06
"""Share of the axis left free at both ends."""
_STRETCH = 3.0
"""An interval may widen the axis to this many times what estimates and margins need."""
_LEAST = {"difference": 0.01, "ratio": math.log(1.02)}
"""Half an axis is at least this wide, so that rounding is no mountain."""
_APART = 12.0
"""Percent of the axis between two labels at least."""
_RATIOS = (0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
_TITLES = {
    "quality": "Quality",
    "floor": "Quality floors",
    "errors": "Errors",
    "guardrail": "Guardrails",
    "latency": "Latency",
    "cost": "Cost",
    "drift": "Drift",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A straight axis of differences, or a logarithmic one of ratios."""

    low: float
    high: float
    is_ratio: bool

    def place(self, number: float) -> float:
        """Percent from the left; beyond the ends is at the ends."""
        low, high, at = (math.log(n) if self.is_ratio else n for n in (self.low, self.high, self._within(number)))
        return round(100 * (at - low) / (high - low), 2)

    def holds(self, number: float) -> bool:
        """Whether a number is on the axis."""
        return self.low <= number <= self.high

    def _within(self, number: float) -> float:
        return min(max(number, self.low), self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One label of the axis."""

    place: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One signal on the axis; a place is None where the number is not known."""

    row: Row
    label: str
    is_pooled: bool
    low: float | None
    high: float | None
    at: float | None
    margin: float | None
    beyond_low: bool
    """Whether the interval goes on where the axis ends."""
    beyond_high: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Signals that share an axis."""

    title: str
    metric: str
    """The metric all of them share, "" where their labels name it."""
    scale: str
    """What the axis counts, in words."""
    marks: tuple[Mark, ...]
    none: float
    """Where no change stands."""
    ticks: tuple[Tick, ...]
    worse: str
    """`left` or `right`: where harm lies."""
    is_advisory: bool

    @property
    def count(self) -> int:
        """Signals shown."""
        return len(self.marks)


def forest(sheet: Sheet, units: Mapping[str, Unit]) -> tuple[Panel, ...]:
    """Panels of rows that can share an axis: blocking ones first, in the sheet's order."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in sheet.rows:
        groups.setdefault(_key(row.signal, units[row.signal.name]), []).append(row)
    panels = [_panel(rows, units[rows[0].signal.name]) for rows in groups.values()]
    order = list(_TITLES.values())
    return tuple(sorted(panels, key=lambda p: (p.is_advisory, order.index(p.title) if p.title in order else 99)))


def axis_of(signals: Iterable[Signal]) -> Axis:
    """An axis that holds what the signals need, no change at its middle or within."""
    signals = tuple(signals)
    is_ratio = signals[0].effect == "ratio"
    needed = [0.0, *(_log(n, is_ratio) for s in signals for n in (s.estimate, _bound(s)) if _known(n, is_ratio))]
    ends = [_log(n, is_ratio) for s in signals for n in (s.low, s.high) if _known(n, is_ratio)]
    least = _LEAST["ratio" if is_ratio else "difference"]
    reach = max(least, *(abs(n) for n in needed)) * _STRETCH
    low, high = (min([*needed, *ends]), max([*needed, *ends]))
    low, high = max(min(low, -least), -reach), min(max(high, least), reach)
    pad = _PAD * (high - low)
    low, high = low - pad, high + pad
    return Axis(low=math.exp(low), high=math.exp(high), is_ratio=True) if is_ratio else Axis(
        low=low, high=high, is_ratio=False
    )  # fmt: skip


def mark_of(row: Row, axis: Axis) -> Mark:
    """One row's places on an axis."""
    signal = row.signal

    def place(number: float | None) -> float | None:
        return axis.place(number) if number is not None and _known(number, axis.is_ratio) else None

    return Mark(
        row=row,
        label=_label(signal),
        is_pooled=is_pooled(signal) and signal.kind == "quality",
        low=place(signal.low),
        high=place(signal.high),
        at=place(signal.estimate),
        margin=place(_bound(signal)),
        beyond_low=signal.low is not None and not axis.holds(signal.low),
        beyond_high=signal.high is not None and not axis.holds(signal.high),
    )


def ticks_of(axis: Axis, signal: Signal, unit: Unit) -> tuple[Tick, ...]:
    """A few round numbers that do not touch each other, no change among them."""
    kept: list[Tick] = []
    for number in _round_numbers(axis):
        tick = Tick(place=axis.place(number), label=_tick_label(number, signal, unit))
        if 5 <= tick.place <= 95 and all(abs(tick.place - other.place) > _APART for other in kept):
            kept.append(tick)
    return tuple(sorted(kept, key=lambda tick: tick.place))


def _panel(rows: list[Row], unit: Unit) -> Panel:
    first = rows[0].signal
    axis = axis_of(row.signal for row in rows)
    marks = sorted((mark_of(row, axis) for row in rows), key=lambda mark: mark.is_pooled)
    return Panel(
        title=_TITLES.get(first.kind, first.kind.capitalize()),
        metric=first.metric if first.kind == "quality" else "",
        scale=_scale(first, unit),
        marks=tuple(marks),
        none=axis.place(nothing(first)),
        ticks=ticks_of(axis, first, unit),
        worse="left" if direction(first) < 0 else "right",
        is_advisory=first.tier is Tier.ADVISORY,
    )


def _key(signal: Signal, unit: Unit) -> tuple[object, ...]:
    metric = signal.metric if signal.kind == "quality" else ""
    return signal.tier, signal.kind, metric, signal.effect, unit in COUNTED, direction(signal)


def _scale(signal: Signal, unit: Unit) -> str:
    if signal.effect == "ratio":
        return "candidate to baseline, as a ratio"
    return "difference in percentage points" if unit in COUNTED else "difference"


def _label(signal: Signal) -> str:
    if signal.kind == "quality":
        return "all cases" if is_pooled(signal) else str(signal.stratum)
    return signal.name.partition("/")[2]


def _bound(signal: Signal) -> float | None:
    """The margin as a place on the axis."""
    if signal.margin is None or signal.kind == "floor":
        return None
    return signal.margin if signal.effect == "ratio" else direction(signal) * signal.margin


def _known(number: float | None, is_ratio: bool) -> bool:  # noqa: FBT001 - the axis' own kind
    return number is not None and math.isfinite(number) and (number > 0 or not is_ratio)


def _log(number: float | None, is_ratio: bool) -> float:  # noqa: FBT001 - the axis' own kind
    known = number or 0.0
    return math.log(known) if is_ratio else known


def _round_numbers(axis: Axis) -> Iterator[float]:
    if axis.is_ratio:
        yield from sorted(_RATIOS, key=lambda ratio: abs(math.log(ratio)))
        return
    rough = (axis.high - axis.low) / 7
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(round_ * scale for round_ in (1, 2, 5, 10) if round_ * scale >= rough)
    for count in range(int(max(-axis.low, axis.high) / step) + 1):
        yield from (count * step, -count * step)


def _tick_label(number: float, signal: Signal, unit: Unit) -> str:
    if signal.effect == "ratio":
        return f"×{number:g}"
    if unit in COUNTED:
        return f"{100 * number:+g}" if number else "0 pp"
    return change(number, signal, unit)
