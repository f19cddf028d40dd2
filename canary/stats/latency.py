"""Latency: body and tail, paired; lower is better.

Values are seconds, finite and not negative; a request that failed has none,
and counts in `slow_share` instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from canary.stats.blocks import (
    choose_blocks,
    draw_weights,
    merge_neighbours,
    quantiles,
    tabulate,
    trimmed_mean,
    trimmed_means,
)
from canary.stats.replicates import Replicates, judge_quantile, judge_trimmed, minimum_n
from canary.stats.results import Finding
from canary.stats.vector import Bools, Floats, Ints

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from canary.stats.blocks import BlockCounts

__all__ = [
    "Sample",
    "choose_blocks",
    "compare_quantile",
    "compare_trimmed_mean",
    "minimum_n",
    "slow_share",
    "trimmed_mean",
]


@dataclass(frozen=True, slots=True)
class Sample:
    """One arm's values, each belonging to a unit (a request)."""

    values: Floats
    """Seconds, shape (m,)."""
    units: Ints
    """Unit of each value, 0..n_units-1, shape (m,)."""
    n_units: int
    """Units in the sample, those without any value included."""

    def __post_init__(self) -> None:
        """Raise ValueError unless the values are usable seconds of known units."""
        if self.values.ndim != 1 or self.values.shape != self.units.shape or self.values.size == 0:
            raise ValueError("'values' and 'units' must share a shape (m,), m >= 1")
        if not np.all(np.isfinite(self.values)) or self.values.min() < 0:
            raise ValueError("'values' must be finite seconds, 0 or more")
        if self.units.min() < 0 or self.units.max() >= self.n_units:
            raise ValueError(f"'units' must lie in 0..{self.n_units - 1}")

    @property
    def measured(self) -> int:
        """Units that carry at least one value."""
        return int(np.unique(self.units).size)


def compare_trimmed_mean(
    baseline: Sample,
    candidate: Sample,
    blocks: ArrayLike,
    *,
    trim: float,
    max_ratio: float,
    floor: float,
    alpha: float,
    seed: int,
) -> Finding:
    """Compare means without the highest share `trim` (0.05 is TM95), paired.

    Unit i is the same prompt in both arms, and `blocks` (n_units,) names the
    stretch of time it ran in: a replicate draws blocks with all they hold, of
    both arms. Inside the margin if TM_c < max(max_ratio * TM_b, TM_b + floor)
    (`floor` in seconds); harm if TM_c > TM_b. Both p-values are t tests with
    the bootstrap's standard error and blocks - 1 df, so that correction for
    many tests is not limited by the number of replicates. The estimate is the
    ratio TM_c/TM_b; its ends invert the margin test, `high < finding.margin`
    iff `noninferior.p < alpha`. Fewer than 20 blocks prove nothing, p is 1.
    """
    draws = _paired(
        baseline,
        candidate,
        blocks,
        around=1 - trim,
        measure=lambda values: trimmed_mean(values, trim),
        replicate=lambda weights, table: trimmed_means(weights, table, trim),
        seed=seed,
    )
    return judge_trimmed(draws, trim=trim, max_ratio=max_ratio, floor=floor, alpha=alpha)


def compare_quantile(
    baseline: Sample,
    candidate: Sample,
    blocks: ArrayLike,
    *,
    q: float,
    max_ratio: float,
    alpha: float,
    seed: int,
) -> Finding:
    """Compare the q-quantiles of paired samples as a ratio.

    The log ratio over its block-bootstrap standard error, as t with blocks -
    1 df; quantiles are numpy's linear ones. Fewer than 20 blocks, or fewer
    units than `minimum_n` (299 for p99, 2,995 for p99.9 at 95 %), prove
    nothing: p is 1 and the interval has no upper end.
    """
    draws = _paired(
        baseline,
        candidate,
        blocks,
        around=q,
        measure=lambda values: float(np.quantile(values, q)),
        replicate=lambda weights, table: quantiles(weights, table, q),
        seed=seed,
    )
    return judge_quantile(draws, q=q, max_ratio=max_ratio, alpha=alpha)


def slow_share(baseline_times: ArrayLike, candidate_times: ArrayLike, threshold: float) -> tuple[Bools, Bools]:
    """Which requests of each arm (n,) took longer than `threshold` seconds.

    A failed request has the time `inf` and so counts as slow. Raises
    ValueError for NaN.
    """
    times = np.asarray(baseline_times, dtype=np.float64), np.asarray(candidate_times, dtype=np.float64)
    if np.any(np.isnan(times[0])) or np.any(np.isnan(times[1])):
        raise ValueError("times must not be NaN: a failed request is inf")
    return times[0] > threshold, times[1] > threshold


def _paired(
    baseline: Sample,
    candidate: Sample,
    blocks: ArrayLike,
    *,
    around: float,
    measure: Callable[[Floats], float],
    replicate: Callable[[Floats, BlockCounts], Floats],
    seed: int,
) -> Replicates:
    """`measure` of both arms, and `replicate` of both under the same draws."""
    ids = np.asarray(blocks)
    if ids.shape != (baseline.n_units,) or baseline.n_units != candidate.n_units:
        raise ValueError("paired arms must have the same units, and 'blocks' one id for each")
    codes, count = merge_neighbours(ids)
    weights = draw_weights(count, np.random.default_rng(seed))
    base, cand = (
        replicate(weights, tabulate(arm.values, codes[arm.units], count, around=around))
        for arm in (baseline, candidate)
    )
    return Replicates(
        baseline=measure(baseline.values),
        candidate=measure(candidate.values),
        base=base,
        cand=cand,
        blocks=int(np.unique(ids).size),
        units=min(baseline.measured, candidate.measured),
    )
