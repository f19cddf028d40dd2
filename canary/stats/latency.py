"""Latency: body and tail, paired or in two streams; lower is better.

Values are seconds, finite and not negative; a request that failed has none,
and counts in `slow_share` instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.blocks import (
    MINIMUM,
    MOST,
    choose_blocks,
    draw_weights,
    merge_neighbours,
    quantiles,
    tabulate,
    trimmed_mean,
    trimmed_means,
)
from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Bools, Floats, Ints, require_alpha

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from canary.stats.blocks import BlockCounts

__all__ = [
    "Sample",
    "Stream",
    "choose_blocks",
    "compare_quantile",
    "compare_trimmed_mean",
    "compare_unpaired_quantile",
    "compare_unpaired_trimmed_mean",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replicates:
    """A statistic of both arms, measured and resampled."""

    baseline: float
    candidate: float
    base: Floats
    cand: Floats
    blocks: int
    """Blocks before neighbours were merged."""
    units: int
    """Units with a value, in the arm that has fewer."""

    @property
    def df(self) -> int:
        """Degrees of freedom of an error taken over the blocks drawn."""
        return max(min(self.blocks, MOST) - 1, 1)


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
    return _judge_trimmed(draws, trim=trim, max_ratio=max_ratio, floor=floor, alpha=alpha)


@dataclass(frozen=True, slots=True)
class Stream:
    """One arm of routed traffic, arrays of shape (m,)."""

    sample: Sample
    blocks: Ints
    """Stretch of time each value belongs to; both arms share their numbers."""
    weights: Floats
    """From `streams.overlap_weights`; 0 leaves a value out."""

    def usable(self) -> tuple[Floats, Ints, Floats]:
        """Values that weigh something, with their block and weight."""
        kept = self.weights > 0
        return self.sample.values[kept], self.blocks[kept], self.weights[kept]


def compare_unpaired_trimmed_mean(
    baseline: Stream, candidate: Stream, *, trim: float, max_ratio: float, floor: float, alpha: float, seed: int
) -> Finding:
    """Compare trimmed means of two streams; see `compare_trimmed_mean`.

    A replicate draws stretches of time for both arms together, so that a slow
    minute slows both. Raises ValueError where the arms share none.
    """
    draws = _unpaired(
        baseline, candidate, 1 - trim, lambda weights, table: trimmed_means(weights, table, trim), seed=seed
    )
    return _judge_trimmed(draws, trim=trim, max_ratio=max_ratio, floor=floor, alpha=alpha)


def compare_unpaired_quantile(
    baseline: Stream, candidate: Stream, *, q: float, max_ratio: float, alpha: float, seed: int
) -> Finding:
    """Compare the q-quantiles of two streams; see `compare_quantile` and `Stream`.

    Quantiles are those of the inverse distribution function.
    """
    draws = _unpaired(baseline, candidate, q, lambda weights, table: quantiles(weights, table, q), seed=seed)
    return _judge_quantile(draws, q=q, max_ratio=max_ratio, alpha=alpha)


def _unpaired(
    baseline: Stream, candidate: Stream, around: float, replicate: Callable[[Floats, BlockCounts], Floats], *, seed: int
) -> _Replicates:
    """`replicate` of both arms, once as measured and then under the same draws of time."""
    arms = [arm.usable() for arm in (baseline, candidate)]
    if min(values.size for values, _, _ in arms) == 0:
        raise ValueError("the arms were not served at the same time")
    codes, count = merge_neighbours(np.concatenate([blocks for _, blocks, _ in arms]))
    first = arms[0][1].size
    raw = int(np.unique(np.concatenate([blocks for _, blocks, _ in arms])).size)
    weights = draw_weights(count, np.random.default_rng(seed))
    tables = [
        tabulate(values, own, count, around=around, weights=heavy)
        for (values, _, heavy), own in zip(arms, (codes[:first], codes[first:]), strict=True)
    ]
    measured = [float(replicate(np.ones((1, count)), table)[0]) for table in tables]
    base, cand = (replicate(weights, table) for table in tables)
    return _Replicates(
        baseline=measured[0],
        candidate=measured[1],
        base=base,
        cand=cand,
        blocks=raw,
        units=min(baseline.sample.measured, candidate.sample.measured),
    )


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
    return _judge_quantile(draws, q=q, max_ratio=max_ratio, alpha=alpha)


def minimum_n(q: float, confidence: float) -> int:
    """The fewest values whose maximum bounds the q-quantile from above.

    Smallest n with 1 - q^n >= confidence (Wilks 1941), both in (0, 1).
    """
    return int(np.ceil(np.log1p(-confidence) / np.log(q) - 1e-12))


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
) -> _Replicates:
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
    return _Replicates(
        baseline=measure(baseline.values),
        candidate=measure(candidate.values),
        base=base,
        cand=cand,
        blocks=int(np.unique(ids).size),
        units=min(baseline.measured, candidate.measured),
    )


def _require_limits(draws: _Replicates, max_ratio: float, alpha: float) -> None:
    """Raise ValueError where the ratio or the margin is undefined."""
    require_alpha(alpha)
    if max_ratio <= 1:
        raise ValueError(f"'max_ratio' must be > 1 (got {max_ratio})")
    if draws.baseline <= 0:
        raise ValueError("the baseline's latency is 0: a ratio to it is undefined")


def _studentised(distance: float, error: float, df: int, unseen: float) -> float:
    """P-value for `distance < 0`; `unseen` where nothing varied."""
    if error > 1e-12 * abs(distance):
        return float(special.stdtr(df, distance / error))
    return unseen if distance < 0 else 1.0


def _judge_trimmed(draws: _Replicates, *, trim: float, max_ratio: float, floor: float, alpha: float) -> Finding:
    """Both tests of a trimmed mean from its replicates."""
    _require_limits(draws, max_ratio, alpha)
    limit = max(max_ratio * draws.baseline, draws.baseline + floor)
    limits = np.maximum(max_ratio * draws.base, draws.base + floor)
    error = float(np.std(draws.cand - limits, ddof=1))
    change = float(np.std(draws.cand - draws.base, ddof=1))
    inside = _studentised(draws.candidate - limit, error, draws.df, (1 - trim) ** draws.blocks)
    harm = _studentised(draws.baseline - draws.candidate, change, draws.df, 0.5**draws.blocks)
    reach = float(special.stdtrit(draws.df, 1 - alpha)) * error
    return _finding(
        draws,
        margin=limit / draws.baseline,
        alpha=alpha,
        low=(draws.candidate - reach) / draws.baseline,
        high=(draws.candidate + reach) / draws.baseline,
        p=(harm, inside),
        method=f"TM{100 * (1 - trim):g} ratio, time-block bootstrap, studentised",
        lack=_lacking(draws, 0, ""),
    )


def _judge_quantile(draws: _Replicates, *, q: float, max_ratio: float, alpha: float) -> Finding:
    """Both tests of a quantile ratio from its replicates."""
    _require_limits(draws, max_ratio, alpha)
    if draws.candidate <= 0 or min(draws.base.min(), draws.cand.min()) <= 0:
        raise ValueError("a latency quantile is 0: its log ratio is undefined")
    log_ratio = float(np.log(draws.candidate / draws.baseline))
    error = float(np.std(np.log(draws.cand / draws.base), ddof=1))
    reach = float(special.stdtrit(draws.df, 1 - alpha)) * error
    return _finding(
        draws,
        margin=max_ratio,
        alpha=alpha,
        low=float(np.exp(log_ratio - reach)),
        high=float(np.exp(log_ratio + reach)),
        p=(
            _studentised(-log_ratio, error, draws.df, 0.5**draws.blocks),
            _studentised(log_ratio - np.log(max_ratio), error, draws.df, q**draws.blocks),
        ),
        method=f"p{100 * q:g} ratio, time-block bootstrap of the logarithm, studentised",
        lack=_lacking(draws, minimum_n(q, 1 - alpha), f"p{100 * q:g}"),
    )


def _lacking(draws: _Replicates, units: int, name: str) -> str:
    """What is missing for any conclusion, in words; empty if nothing is."""
    if draws.blocks < MINIMUM:
        return f"need >= {MINIMUM} time blocks, have {draws.blocks}"
    if draws.units < units:
        return f"{name} needs >= {units} requests an arm, have {draws.units}"
    return ""


def _finding(
    draws: _Replicates,
    *,
    margin: float,
    alpha: float,
    low: float,
    high: float,
    p: tuple[float, float],
    method: str,
    lack: str,
) -> Finding:
    """The finding on the ratio scale; an inconclusive one where `lack` says so."""
    harm, inside = (1.0, 1.0) if lack else p
    if not lack and inside >= alpha > 0 and high < margin:  # nothing varied: the bound is not the estimate
        high = np.inf
    n, notes = draws.units, (lack,) if lack else ()
    return Finding(
        estimate=Estimate(
            center=draws.candidate / draws.baseline,
            low=0.0 if lack else max(low, 0.0),
            high=np.inf if lack else high,
            confidence=1 - 2 * alpha,
            n=n,
            method=method,
        ),
        harm=Test(p=harm, n=n, method=method),
        noninferior=Test(p=inside, n=n, method=method),
        can_reject=not lack,
        baseline=draws.baseline,
        candidate=draws.candidate,
        margin=margin,
        method=f"{method}, {draws.blocks} blocks (harm and margin)",
        warnings=notes,
    )
