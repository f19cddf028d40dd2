"""Resampling whole stretches of time, so that shared bad minutes stay whole.

Replicates are weights on blocks: each value is sorted once, and a replicate
of a trimmed mean or quantile is one row of `weights @ counts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from canary.stats.vector import Floats, Ints, as_floats, tally

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MINIMUM = 20
"""Fewer blocks than this give no usable error."""
MOST = 400
"""More blocks are merged with their neighbours: 400 fix a standard error to
4 %, and merging only lengthens blocks."""
_REPLICATES = 1_000
_FINE, _TOP = 240, 16


def choose_blocks(differences: ArrayLike, *, least: int = 1) -> Ints:
    """Block numbers (n,), rising, for paired differences in time order (n,).

    The block length is the automatic one of Politis & White (2004; corrected
    by Patton, Politis & White 2009) for the circular block bootstrap,
    (2 G^2 / (4/3 g^2))^(1/3) n^(1/3), on the ranks of the differences, which
    heavy tails do not blind. It is 1 where no autocorrelation shows, at least
    `least` (measured on a longer series, say), and never leaves fewer than 20
    blocks where n allows them.
    """
    series = as_floats("differences", differences)
    n = series.size
    length = int(np.clip(max(_automatic_length(series), least), 1, max(n // MINIMUM, 1)))
    return np.arange(n, dtype=np.int64) // length


def _automatic_length(series: Floats) -> int:
    """Politis and White's block length, rounded up; 1 without correlation."""
    n = series.size
    lags = min(int(np.ceil(np.sqrt(n))) + 5, n - 1)
    if n < 2 * MINIMUM or np.ptp(series) == 0:
        return 1
    _, code, ties = np.unique(series, return_inverse=True, return_counts=True)
    centred = (np.cumsum(ties) - ties / 2)[code] - n / 2
    spectrum = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    covariance = np.fft.irfft(spectrum)[: lags + 1] / n
    small = np.abs(covariance[1:] / covariance[0]) < 2 * np.sqrt(np.log10(n) / n)
    run = max(5, int(np.sqrt(np.log10(n))))
    quiet = np.convolve(small, np.ones(run), mode="valid") >= run if lags >= run else np.zeros(1)
    first = int(np.argmax(quiet)) if np.any(quiet) else lags
    if first == 0:
        return 1
    reach = np.arange(-min(2 * first, lags), min(2 * first, lags) + 1)
    window = np.minimum(1, 2 * (1 - np.abs(reach) / (2 * first)))
    weighted = window * covariance[np.abs(reach)]
    slope, level = float(np.sum(np.abs(reach) * weighted)), float(np.sum(weighted))
    return int(np.ceil((1.5 * slope**2 / max(level**2, 1e-300)) ** (1 / 3) * n ** (1 / 3)))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCounts:
    """Sorted values in bins, counted per block; the first bin is the body."""

    counts: Floats
    """Weight of the values per (block, bin), shape (blocks, bins)."""
    values: Floats
    """Mean of each bin, rising, shape (bins,)."""
    body: Floats
    """Sum of the values each block has in the first bin, shape (blocks,)."""


def tabulate(values: Floats, blocks: Ints, count: int, *, around: float, weights: Floats | None = None) -> BlockCounts:
    """`values` (m,) of blocks 0..count-1, binned finely near rank share `around`.

    Up to 256 values each is its own bin. Beyond, 240 bins span 8 standard
    errors (over blocks) each side of the rank that decides; what lies below
    them is one bin, kept as exact sums, and what lies above is 16. `weights`
    (m,), above 0, count a value as less than one.
    """
    order = np.argsort(values, kind="stable")
    ranked, owners, m = values[order], blocks[order], values.size
    heavy = np.broadcast_to(1.0, m) if weights is None else weights[order]
    del order  # a large run's gaps are millions: what is done with is let go
    upto = None if weights is None else np.cumsum(heavy)
    total = m if upto is None else float(upto[-1])
    rank = int(m * around) if upto is None else int(np.searchsorted(upto, around * total))
    above = tally(owners[rank:], heavy[rank:], count)
    expected = float(np.sum(heavy[rank:]) / total) * tally(owners, heavy, count)
    width = (8 * float(np.sqrt(np.sum((above - expected) ** 2))) + 20) * m / total
    first, last = max(rank - width, 0), min(rank + width, m)
    edges = np.concatenate([[0], np.linspace(first, last, _FINE), np.linspace(last, m, _TOP)]).astype(np.int64)
    starts = np.arange(m) if m <= _FINE + _TOP else np.unique(edges[edges < m])
    sizes = np.diff(np.append(starts, m))
    weighed = ranked if weights is None else heavy * ranked
    codes = owners * starts.size
    codes += np.repeat(np.arange(starts.size, dtype=np.int32), sizes)
    counts = np.bincount(codes, weights=None if weights is None else heavy, minlength=count * starts.size)
    return BlockCounts(
        counts=counts.reshape(count, starts.size).astype(np.float64),
        values=np.add.reduceat(weighed, starts) / np.add.reduceat(heavy, starts),
        body=tally(owners[: sizes[0]], weighed[: sizes[0]], count),
    )


def merge_neighbours(blocks: ArrayLike) -> tuple[Ints, int]:
    """Blocks numbered 0..count-1 in the order of their ids, at most 400."""
    codes = np.unique(np.asarray(blocks), return_inverse=True)[1].astype(np.int64)
    count = int(codes.max()) + 1
    return (codes, count) if count <= MOST else (codes * MOST // count, MOST)


def draw_weights(count: int, rng: np.random.Generator) -> Floats:
    """How often each of `count` blocks is drawn, shape (1000, count)."""
    drawn = rng.integers(0, count, size=(_REPLICATES, count)) + count * np.arange(_REPLICATES)[:, None]
    drawn_per_block = np.bincount(drawn.ravel(), minlength=_REPLICATES * count)
    return drawn_per_block.reshape(_REPLICATES, count).astype(np.float64)


def _masses(weights: Floats, table: BlockCounts) -> Floats:
    """Weight per replicate and bin, shape (replicates, bins)."""
    single = weights.astype(np.float32) @ table.counts.astype(np.float32)  # whole numbers: exact; else to 1e-7
    return single.astype(np.float64)


def _usable(weights: Floats, table: BlockCounts) -> Floats:
    """The weights, all 1 in a replicate whose blocks lack this arm entirely."""
    lacking = weights @ table.counts.sum(axis=1) == 0
    return np.where(lacking[:, None], 1.0, weights) if lacking.any() else weights


def trimmed_mean(values: Floats, trim: float) -> float:
    """Mean without the highest floor(trim * m) of m values.

    CloudWatch's TM statistic; `scipy.stats.trim1(tail="right")` drops as many.
    """
    kept = values.size - int(trim * values.size + 1e-9)
    return float(np.mean(np.sort(values)[:kept]))


def trimmed_means(weights: Floats, table: BlockCounts, trim: float) -> Floats:
    """Trimmed mean of every replicate, shape (replicates,)."""
    usable = _usable(weights, table)
    mass = _masses(usable, table)
    upto = np.cumsum(mass, axis=1)
    kept = upto[:, -1:] - np.floor(trim * upto[:, -1:] + 1e-9)
    taken = np.clip(kept - (upto - mass), 0, mass)
    share = np.divide(taken[:, 0], mass[:, 0], out=np.ones(len(mass)), where=mass[:, 0] > 0)
    total = share * (usable @ table.body) + taken[:, 1:] @ table.values[1:]
    return np.asarray(total / kept[:, 0])


def quantiles(weights: Floats, table: BlockCounts, q: float) -> Floats:
    """The q-quantile (inverse distribution function) of every replicate."""
    upto = np.cumsum(_masses(_usable(weights, table), table), axis=1)
    reached = np.argmax(upto >= q * upto[:, -1:] - 1e-9, axis=1)
    return np.asarray(table.values[reached])
