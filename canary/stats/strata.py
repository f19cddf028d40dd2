"""One estimate over strata that carry the weights of production."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from canary.stats.cluster import gather
from canary.stats.paired import compare_binary, compare_scores, reach_of, weigh_differences
from canary.stats.vector import Floats, Ints, as_floats, as_labels, as_pairs

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from canary.stats.results import Finding

Kind = Literal["binary", "bounded", "unbounded"]


def compare_pooled(  # noqa: PLR0913 - the design fixes all nine, one per fact that decides
    baseline: ArrayLike,
    candidate: ArrayLike,
    clusters: ArrayLike,
    strata: ArrayLike,
    weights: ArrayLike,
    *,
    margin: float,
    alpha: float,
    kind: Kind,
    seed: int,
) -> Finding:
    """Compare weighted means over strata; higher is better.

    `baseline, candidate` (n,) are per-prompt means, `clusters` (n,) what was
    drawn independently, `strata` (n,) whole numbers 0..K-1, `weights` (K,)
    the shares of production, summing to 1. Where the weights are the sample's
    own shares this is the plain comparison (of pass/fail if `kind` is binary
    and every prompt its own cluster); else the post-stratified mean, see
    `weigh_differences`. Raises ValueError for a stratum with weight but no
    prompt: its share of the truth is unknown.
    """
    base, cand = as_pairs(baseline, candidate)
    labels, bounded = as_labels("clusters", clusters, base.size), kind != "unbounded"
    numbers, shares = _checked(strata, weights, base.size)
    sample = np.bincount(numbers, minlength=shares.size) / base.size
    if np.allclose(sample, shares, rtol=0, atol=1e-9):
        singles = int(labels.max()) + 1 == base.size
        if kind == "binary" and singles:
            return compare_binary(base, cand, margin=margin, alpha=alpha)
        return compare_scores(base, cand, labels, margin=margin, alpha=alpha, bounded=bounded, seed=seed)
    return weigh_differences(
        gather(base, labels, numbers, shares),
        gather(cand, labels, numbers, shares),
        reach=reach_of(base, cand, bounded=bounded),
        bounded=bounded,
        margin=margin,
        alpha=alpha,
        seed=seed,
    )


def _checked(strata: ArrayLike, weights: ArrayLike, n: int) -> tuple[Ints, Floats]:
    """Stratum numbers (n,) and weights (K,), every one of them usable."""
    shares = as_floats("weights", weights)
    numbers = np.asarray(strata, dtype=np.int64)
    if numbers.shape != (n,) or numbers.min() < 0 or numbers.max() >= shares.size:
        raise ValueError(f"'strata' must hold {n} numbers in 0..{shares.size - 1}")
    if shares.min() < 0 or abs(float(shares.sum()) - 1) > 1e-6:
        raise ValueError("'weights' must not be negative and must sum to 1")
    empty = np.bincount(numbers, minlength=shares.size) == 0
    if np.any(empty & (shares > 0)):
        raise ValueError(f"strata {np.flatnonzero(empty & (shares > 0)).tolist()} have weight but no prompts")
    kept = np.flatnonzero(~empty)
    return np.searchsorted(kept, numbers), shares[kept]
