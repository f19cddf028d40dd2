"""Many tests, one promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from canary.stats.vector import Floats, as_floats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


def holm(p: Sequence[float]) -> Floats:
    """Holm's adjusted p-values, shape (m,), in the order given.

    Rejecting those at or below alpha keeps the chance of any false rejection
    at alpha under every dependence (Holm 1979). An empty family stays empty.
    Raises ValueError for a p outside [0, 1].
    """
    return holm_weighted(p, np.ones(len(p)))


def holm_weighted(p: Sequence[float], weights: ArrayLike) -> Floats:
    """Holm's adjusted p-values where hypothesis i holds `weights[i]` of alpha.

    Weights (m,) are positive and need not sum to 1; equal ones give `holm`.
    Step-down over p/w: max over the steps of p_(i)/w_(i) times the weight not
    yet spent (Holm 1979, section 3).
    """
    if len(p) == 0:
        return np.zeros(0)
    values, shares = as_floats("p", list(p)), as_floats("weights", weights)
    if values.min() < 0 or values.max() > 1 or shares.shape != values.shape or shares.min() <= 0:
        raise ValueError("'p' must lie in [0, 1] and 'weights' be positive, one for each")
    order = np.argsort(values / shares, kind="stable")
    left = np.cumsum(shares[order][::-1])[::-1]
    adjusted = np.empty(values.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] / shares[order] * left), 1)
    return adjusted


def critical_weights(is_critical: Sequence[bool], share: float = 0.5) -> Floats:
    """Weights that give the critical tests `share` of alpha and the others the rest.

    Equal weights where either group is empty.
    """
    if not 0 < share < 1:
        raise ValueError(f"'share' must be in (0, 1) (got {share})")
    marks = np.asarray(is_critical, dtype=np.bool_)
    count = int(marks.sum())
    if count in {0, marks.size}:
        return np.full(marks.size, 1 / max(marks.size, 1))
    return np.where(marks, share / count, (1 - share) / (marks.size - count))
