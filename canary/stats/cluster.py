"""Means of clustered values: robust error, sign flips, the worst-case pair.

A *cluster* is whatever was drawn independently (a prompt, or a document with
several prompts); a *stratum* carries a fixed weight. One stratum of weight 1
gives the plain mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from canary.stats.results import Test
from canary.stats.vector import Floats, Ints, tally

FEW = 30
"""Below this many (effective) clusters a t statistic is not trusted for harm."""
_EXACT = 15
"""Up to this many non-zero clusters all 2^G sign patterns are enumerated."""
_FLIPS = 20_000
_CELLS = 40_000_000
_CHUNK = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustered:
    """Values of n items, summed by (stratum, cluster).

    `sums, sizes, strata, clusters` have shape (cells,), sorted by stratum and
    cluster; `weights` has shape (K,) and sums to 1.
    """

    sums: Floats
    sizes: Floats
    strata: Ints
    clusters: Ints
    weights: Floats

    @property
    def groups(self) -> Floats:
        """Clusters per stratum, shape (K,)."""
        return tally(self.strata, np.ones(self.strata.size), self.weights.size)

    @property
    def items(self) -> Floats:
        """Items per stratum, shape (K,)."""
        return tally(self.strata, self.sizes, self.weights.size)

    @property
    def means(self) -> Floats:
        """Mean per stratum, shape (K,)."""
        return tally(self.strata, self.sums, self.weights.size) / self.items

    def contributions(self) -> Floats:
        """What each cluster adds to the weighted mean, shape (clusters,)."""
        share = (self.weights / self.items)[self.strata]
        return tally(self.clusters, share * self.sums)

    def with_extreme(self, value: float) -> Clustered:
        """The same with one more cluster, all of whose items are at `value`.

        It goes where it weighs most, the stratum of the largest w/(G + 1), and
        into every stratum of a single cluster, whose spread is unknown. It has
        the stratum's mean cluster size: where prompts share a cluster they can
        be lost together, so that one pair would understate the worst case.
        With one prompt per cluster it is a single pair.
        """
        groups = self.groups
        chosen = (groups == 1) & (self.weights > 0)
        chosen[np.argmax(self.weights / (groups + 1))] = True
        added = np.flatnonzero(chosen)
        size = (self.items / groups)[added]
        return Clustered(
            sums=np.concatenate([self.sums, value * size]),
            sizes=np.concatenate([self.sizes, size]),
            strata=np.concatenate([self.strata, added]),
            clusters=np.concatenate([self.clusters, self.clusters.max() + 1 + np.arange(added.size)]),
            weights=self.weights,
        )


def gather(values: Floats, clusters: Ints, strata: Ints, weights: Floats) -> Clustered:
    """`values` (n,) summed by stratum and cluster, both labelled 0..K-1, 0..G-1."""
    cells, code = np.unique(strata * (clusters.max() + 1) + clusters, return_inverse=True)
    return Clustered(
        sums=tally(code, values),
        sizes=tally(code, np.ones(code.size)),
        strata=cells // (clusters.max() + 1),
        clusters=cells % (clusters.max() + 1),
        weights=weights,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A weighted mean with its cluster-robust standard error."""

    mean: float
    error: float
    """Standard error; infinite where a stratum is a single cluster."""
    df: float
    """Degrees of freedom of the t statistic, at least 1."""

    def upper_tail(self, null: float) -> float:
        """P-value against `mean <= null`; 1 where the data tell nothing."""
        if not self._is_informative:
            return 1.0
        return float(special.stdtr(self.df, -(self.mean - null) / self.error))

    def lower_tail(self, null: float) -> float:
        """P-value against `mean >= null`; 1 where the data tell nothing."""
        if not self._is_informative:
            return 1.0
        return float(special.stdtr(self.df, (self.mean - null) / self.error))

    def bound(self, level: float) -> float:
        """The `level` quantile of the confidence distribution of the mean.

        Inverts the two tails: `bound(alpha) > null` iff `upper_tail(null) < alpha`.
        """
        if not self._is_informative:
            return float(np.copysign(np.inf, level - 0.5))
        return self.mean + float(special.stdtrit(self.df, level)) * self.error

    @property
    def _is_informative(self) -> bool:
        return bool(0 < self.error < np.inf)


def fit_mean(data: Clustered) -> Fit:
    """The weighted mean of `data` and its cluster-robust error.

    SE^2 = sum over clusters of (sum_k w_k/n_k sqrt(G_k/(G_k-1)) r_kg)^2 with
    r_kg the cluster's residual total, and Satterthwaite's degrees of freedom
    over strata. With one stratum: G/(G-1) and G-1 df (Miller 2024,
    arXiv 2411.00640; CR1 of Cameron & Miller 2015). A cluster may span
    strata.
    """
    groups, means = data.groups, data.means
    center = float(np.sum(data.weights * means))
    if np.any((groups < 2) & (data.weights > 0)):
        return Fit(mean=center, error=np.inf, df=1.0)
    factor = data.weights / data.items * np.sqrt(groups / np.maximum(groups - 1, 1))
    scaled = factor[data.strata] * (data.sums - data.sizes * means[data.strata])
    variance = float(np.sum(tally(data.clusters, scaled) ** 2))
    parts = tally(data.strata, scaled**2, groups.size)
    scale = float(np.max(np.abs(data.contributions()), initial=0.0))
    if variance <= (1e-12 * scale) ** 2:  # rounding left over from equal values
        return Fit(mean=center, error=0.0, df=1.0)
    df = float(np.sum(parts) ** 2 / np.sum(parts**2 / np.maximum(groups - 1, 1)))
    return Fit(mean=center, error=float(np.sqrt(variance)), df=max(df, 1.0))


def effective_clusters(contributions: Floats) -> float:
    """How many equal contributions would weigh as much: (sum c^2)^2 / sum c^4.

    About G/3 for normal differences, and few when rare large losses dominate.
    """
    squares = (contributions / max(float(np.max(np.abs(contributions))), 1e-300)) ** 2
    total = float(np.sum(squares**2))
    return float(np.sum(squares)) ** 2 / total if total > 0 else 0.0


def sign_flip(contributions: Floats, *, seed: int) -> Test:
    """Test that the sum is not below 0, by flipping the signs of clusters.

    Exact for an unchanged candidate, whose differences are symmetric. All 2^G
    patterns for G <= 15 non-zero clusters; else 20,000 random ones (fewer
    above 2,000 clusters) and p = (1 + hits)/(1 + flips), Phipson & Smyth 2010.
    Contributions are sorted first, so that their order changes nothing.
    """
    values = np.sort(contributions[contributions != 0])
    reach = float(np.sum(values)) / 2 + 1e-12 * float(np.sum(np.abs(values)))
    # sum of signed values = 2 * (sum of those kept) - total, so compare the kept
    limit = reach + float(np.sum(values)) / 2
    if values.size <= _EXACT:
        codes = np.arange(2**values.size)[:, None]
        kept = ((codes >> np.arange(values.size)) & 1) @ values
        share = float(np.mean(kept <= limit))
        return Test(p=share, n=contributions.size, method="sign flips by cluster, all patterns")
    flips = int(np.clip(_CELLS // values.size, 2_000, _FLIPS))
    hits = _count_hits(values, limit, flips, np.random.default_rng(seed))
    return Test(p=(1 + hits) / (1 + flips), n=contributions.size, method=f"sign flips by cluster, {flips} drawn")


def _count_hits(values: Floats, limit: float, flips: int, rng: np.random.Generator) -> int:
    """How many of `flips` random subsets of `values` sum to at most `limit`."""
    rows = max(1, _CHUNK // values.size)
    hits = 0
    for start in range(0, flips, rows):  # chunks bound the memory, not the work
        count = min(rows, flips - start)
        raw = rng.integers(0, 256, size=(count, -(-values.size // 8)), dtype=np.uint8)
        kept = np.unpackbits(raw, axis=1, count=values.size).astype(np.float64) @ values
        hits += int(np.sum(kept <= limit))
    return hits


def harm_test(data: Clustered, *, seed: int) -> Test:
    """Test that the weighted mean of `data` (differences) is not below 0.

    Cluster-robust t; sign flips by cluster instead where fewer than 30
    clusters, fewer than 30 *effective* ones (lumpy), or no variance.
    """
    parts = data.contributions()
    fit = fit_mean(data)
    if parts.size < FEW or effective_clusters(parts) < FEW or fit.error <= 0:
        return sign_flip(parts, seed=seed)
    return Test(p=fit.lower_tail(0.0), n=parts.size, method=f"cluster-robust t, {fit.df:.0f} df")
