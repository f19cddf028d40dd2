"""How both arms' times, costs and lengths are distributed.

Cumulative shares show what means hide, and take failures in: a request that
failed was never fast, so its arm's curve ends below the top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from canary.records import Arm, Evidence, Response
from canary.signals.wording import dollars, seconds

_POINTS = 160
"""Places at which a curve is drawn."""
_LOG_FROM = 20.0
"""A longer reach than this from fastest to slowest is drawn on a logarithmic axis."""
_SEEN = 0.999
"""The axis ends where this share of both arms has been drawn."""
_QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One arm's cumulative share and what can be said of it in numbers."""

    arm: str
    points: str
    """`x,y x,y ...` in percent of the frame, y downwards."""
    facts: tuple[str, ...]
    """As many as the distribution has headings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One quantity of both arms on one axis."""

    title: str
    note: str
    headings: tuple[str, ...]
    curves: tuple[Curve, ...]
    ticks: tuple[tuple[float, str], ...]
    """Place in percent and label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantity:
    title: str
    note: str
    read: Callable[[Response], Iterable[float]]
    show: Callable[[float], str]
    is_summed: bool = False


def _one(value: float | None) -> tuple[float, ...]:
    return () if value is None else (value,)


_QUANTITIES = (
    _Quantity(title="Time to first token", note="per request", read=lambda r: _one(r.ttft_s), show=seconds),
    _Quantity(title="Gap between tokens", note="all gaps pooled", read=lambda r: r.itl_s or (), show=seconds),
    _Quantity(title="Total time", note="per request; longer answers take longer", read=lambda r: _one(r.total_s),
              show=seconds),
    _Quantity(title="Cost", note="per request", read=lambda r: _one(r.cost_usd), show=dollars, is_summed=True),
    _Quantity(title="Length of prompts", note="input tokens", read=lambda r: _one(r.input_tokens),
              show=lambda n: f"{n:,.0f}", is_summed=True),
    _Quantity(title="Length of answers", note="output tokens", read=lambda r: _one(r.output_tokens),
              show=lambda n: f"{n:,.0f}", is_summed=True),
)  # fmt: skip


def distributions(evidence: Evidence) -> tuple[Distribution, ...]:
    """Every quantity that both arms have recorded."""
    return tuple(found for quantity in _QUANTITIES if (found := _distribution(quantity, evidence)) is not None)


def _distribution(quantity: _Quantity, evidence: Evidence) -> Distribution | None:
    values: dict[Arm, NDArray[np.float64]] = {}
    failed: dict[Arm, int] = {}
    for arm in Arm:
        served = [r for r in evidence.responses if r.arm is arm and r.error is None]
        failed[arm] = sum(r.arm is arm and r.error is not None for r in evidence.responses)
        values[arm] = np.sort(np.array([value for r in served for value in quantity.read(r)], dtype=float))
    if any(not of_arm.size for of_arm in values.values()):
        return None
    grid = _grid(values.values())
    is_pooled = "pooled" in quantity.note
    return Distribution(
        title=quantity.title,
        note=quantity.note,
        headings=tuple(_headings(quantity)),
        curves=tuple(
            Curve(
                arm=arm.value,
                points=_points(values[arm], grid, 0 if is_pooled else failed[arm]),
                facts=tuple(_facts(quantity, values[arm], failed[arm])),
            )
            for arm in Arm
        ),
        ticks=tuple(_ticks(grid, quantity.show)),
    )


def _grid(arms: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """From the fastest to where nearly all of both arms lies."""
    arms = tuple(arms)
    low, high = min(a[0] for a in arms), max(np.quantile(a, _SEEN, method="higher") for a in arms)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    low = low if low <= 0 or high < _LOG_FROM * low else low * 0.9
    is_log = low > 0 and high > _LOG_FROM * low
    return np.asarray(np.geomspace(low, high, _POINTS) if is_log else np.linspace(low, high, _POINTS))


def _points(values: NDArray[np.float64], grid: NDArray[np.float64], failed: int) -> str:
    shares = np.searchsorted(values, grid, side="right") / (values.size + failed)
    places = np.linspace(0, 100, _POINTS)
    return " ".join(f"{x:.1f},{100 - 100 * y:.1f}" for x, y in zip(places, shares, strict=True))


def _ticks(grid: NDArray[np.float64], show: Callable[[float], str]) -> Iterator[tuple[float, str]]:
    for share in (0.02, 0.35, 0.67, 0.98):
        at = round(share * (_POINTS - 1))
        yield round(100 * at / (_POINTS - 1), 2), show(float(grid[at]))


def _headings(quantity: _Quantity) -> Iterator[str]:
    yield from ("mean", *(f"p{100 * q:g}" for q in _QUANTILES), "max")
    if quantity.is_summed:
        yield "sum"
    yield from ("n", "failed")


def _facts(quantity: _Quantity, values: NDArray[np.float64], failed: int) -> Iterator[str]:
    show = quantity.show
    yield show(float(values.mean()))
    yield from (show(float(q)) for q in np.quantile(values, _QUANTILES))
    yield show(float(values[-1]))
    if quantity.is_summed:
        yield show(float(values.sum()))
    yield from (f"{values.size:,}", f"{failed:,}")
