"""The arrays every method takes, and what is checked about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]


def as_floats(name: str, values: ArrayLike) -> Floats:
    """`values` as a finite, non-empty float array of shape (n,).

    Raises ValueError otherwise: a missing value is the caller's to count.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"'{name}' must be a non-empty array of shape (n,) (got shape {array.shape})")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"'{name}' must be finite")
    return array


def as_labels(name: str, labels: ArrayLike, n: int) -> Ints:
    """Group numbers 0..G-1 of shape (n,), in the order of the sorted labels."""
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(f"'{name}' must have shape ({n},) (got {array.shape})")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def as_pairs(baseline: ArrayLike, candidate: ArrayLike) -> tuple[Floats, Floats]:
    """Both arms as finite arrays of one shape (n,), n >= 1."""
    base, cand = as_floats("baseline", baseline), as_floats("candidate", candidate)
    if base.shape != cand.shape:
        raise ValueError(f"'candidate' must have the shape of 'baseline' {base.shape} (got {cand.shape})")
    return base, cand


def tally(codes: Ints, values: Floats, size: int = 0) -> Floats:
    """Sums of `values` (n,) per code 0..G-1, shape (max(G, size),)."""
    return np.asarray(np.bincount(codes, weights=values, minlength=size), dtype=np.float64)


def exp_or_inf(value: float) -> float:
    """The exponential of `value`, infinite where a float cannot hold it."""
    return float(np.exp(value)) if value < 700 else np.inf


def require_alpha(alpha: float) -> None:
    """Raise ValueError unless 0 < alpha < 0.5, as a one-sided level must be."""
    if not 0 < alpha < 0.5:
        raise ValueError(f"'alpha' must be in (0, 0.5) (got {alpha})")


def require_margin(margin: float, *, below: float = np.inf) -> None:
    """Raise ValueError unless 0 < margin < below."""
    if not 0 < margin < below:
        raise ValueError(f"'margin' must be in (0, {below}) (got {margin})")


def require_bounded(name: str, values: Floats) -> None:
    """Raise ValueError unless every value lies in [0, 1]."""
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"'{name}' must lie in [0, 1] (got {values.min()} to {values.max()})")
