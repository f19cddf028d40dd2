"""Bias-corrected accelerated bootstrap intervals, for reports only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.results import Estimate
from canary.stats.vector import Floats, as_labels, as_pairs, tally

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_REPLICATES = 4_000
_CHUNK = 4_000_000


def bca_ratio(
    numerator: ArrayLike, denominator: ArrayLike, clusters: ArrayLike, *, confidence: float, seed: int
) -> Estimate:
    """BCa interval of sum(numerator)/sum(denominator), clusters resampled.

    Arrays (n,); a denominator of ones makes it a mean of differences, two
    arms of costs a ratio of means. Efron 1987 (JASA 82:171): bias from the
    share of replicates below the estimate, acceleration from the jackknife
    over clusters. Raises ValueError where a denominator sums to 0.
    """
    top, bottom = as_pairs(numerator, denominator)
    labels = as_labels("clusters", clusters, top.size)
    tops, bottoms = tally(labels, top), tally(labels, bottom)
    if bottom.sum() <= 0 or bottoms.min() < 0:
        raise ValueError("'denominator' must be 0 or more and sum to more than 0")
    center = float(top.sum() / bottom.sum())
    groups = tops.size
    left = bottoms.sum() - bottoms
    if groups < 2 or left.min() <= 0:
        low, high = -np.inf, np.inf
    else:
        draws = _replicates(tops, bottoms, np.random.default_rng(seed))
        low, high = _ends(center, draws, (tops.sum() - tops) / left, confidence)
    return Estimate(
        center=center, low=low, high=high, confidence=confidence, n=groups, method="BCa bootstrap by cluster"
    )


def _replicates(tops: Floats, bottoms: Floats, rng: np.random.Generator) -> Floats:
    """Ratios of sums over clusters drawn with replacement, shape (4000,)."""
    groups = tops.size
    rows = max(1, _CHUNK // groups)
    pieces = []
    for start in range(0, _REPLICATES, rows):  # chunks bound the memory
        drawn = rng.integers(0, groups, size=(min(rows, _REPLICATES - start), groups))
        below = bottoms[drawn].sum(axis=1)
        fine = below > 0
        pieces.append(tops[drawn].sum(axis=1)[fine] / below[fine])
    return np.concatenate(pieces)


def _ends(center: float, draws: Floats, jackknife: Floats, confidence: float) -> tuple[float, float]:
    """Quantiles of the replicates at the corrected levels."""
    if np.ptp(draws) == 0:
        return center, center
    below = np.mean(draws < center) + np.mean(draws == center) / 2
    bias = special.ndtri(np.clip(below, 1 / draws.size, 1 - 1 / draws.size))
    spread = jackknife.mean() - jackknife
    scale = float(np.sum(spread**2)) ** 1.5
    acceleration = float(np.sum(spread**3)) / (6 * scale) if scale > 0 else 0.0
    z = bias + special.ndtri(np.array([0.5 - confidence / 2, 0.5 + confidence / 2]))
    levels = special.ndtr(bias + z / np.maximum(1 - acceleration * z, 1e-12))
    low, high = np.quantile(draws, levels)
    return float(low), float(high)
