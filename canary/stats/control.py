"""A control chart: is this run like the past runs of the same baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from canary.stats.vector import as_floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MINIMUM = 8
"""Fewer past values make no chart."""
_RUN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Individuals chart of past values, and the newest value against it."""

    center: float
    low: float
    high: float
    is_outside: bool
    """The newest value lies beyond three sigma."""
    is_shifted: bool
    """The newest eight values lie on one side of the centre."""
    n: int
    """Past values the chart rests on."""


def chart(past: ArrayLike, newest: float) -> Chart | None:
    """Judge `newest` by `past` values (n,) in order of time.

    Three-sigma limits from the mean moving range over 1.128 (Shewhart;
    Montgomery 2013, section 6.4), which a slow drift of the past does not
    widen, and the run rule of eight (Western Electric 1956). None below eight
    past values.
    """
    if np.size(past) < MINIMUM:
        return None
    values = as_floats("past", past)
    center = float(values.mean())
    reach = 3 * float(np.mean(np.abs(np.diff(values)))) / 1.128
    sides = np.sign(np.append(values[-(_RUN - 1) :], newest) - center)
    return Chart(
        center=center,
        low=center - reach,
        high=center + reach,
        is_outside=abs(newest - center) > reach,
        is_shifted=bool(abs(sides.sum()) == _RUN),
        n=values.size,
    )
