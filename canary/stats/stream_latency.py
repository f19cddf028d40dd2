"""Latency of two streams of routed traffic: body and tail; lower is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from canary.stats.blocks import draw_weights, merge_neighbours, quantiles, tabulate, trimmed_means
from canary.stats.latency import Sample
from canary.stats.replicates import Replicates, judge_quantile, judge_trimmed
from canary.stats.results import Finding
from canary.stats.vector import Floats, Ints

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary.stats.blocks import BlockCounts


@dataclass(frozen=True, slots=True)
class LatencyStream:
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
    baseline: LatencyStream,
    candidate: LatencyStream,
    *,
    trim: float,
    max_ratio: float,
    floor: float,
    alpha: float,
    seed: int,
) -> Finding:
    """Compare trimmed means of two streams; see `compare_trimmed_mean`.

    A replicate draws stretches of time for both arms together, so that a slow
    minute slows both. Raises ValueError where the arms share none.
    """
    draws = _unpaired(
        baseline, candidate, 1 - trim, lambda weights, table: trimmed_means(weights, table, trim), seed=seed
    )
    return judge_trimmed(draws, trim=trim, max_ratio=max_ratio, floor=floor, alpha=alpha)


def compare_unpaired_quantile(
    baseline: LatencyStream, candidate: LatencyStream, *, q: float, max_ratio: float, alpha: float, seed: int
) -> Finding:
    """Compare the q-quantiles of two streams; see `compare_quantile` and `LatencyStream`.

    Quantiles are those of the inverse distribution function.
    """
    draws = _unpaired(baseline, candidate, q, lambda weights, table: quantiles(weights, table, q), seed=seed)
    return judge_quantile(draws, q=q, max_ratio=max_ratio, alpha=alpha)


def _unpaired(
    baseline: LatencyStream,
    candidate: LatencyStream,
    around: float,
    replicate: Callable[[Floats, BlockCounts], Floats],
    *,
    seed: int,
) -> Replicates:
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
    return Replicates(
        baseline=measured[0],
        candidate=measured[1],
        base=base,
        cand=cand,
        blocks=raw,
        units=min(baseline.sample.measured, candidate.sample.measured),
    )
