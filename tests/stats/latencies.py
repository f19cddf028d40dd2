"""Times that tests compare."""

from __future__ import annotations

import numpy as np

from canary.stats.latency import (
    Sample,
    compare_trimmed_mean,
)
from canary.stats.results import Finding
from canary.stats.stream_latency import LatencyStream
from canary.stats.streams import overlap_weights
from canary.stats.vector import Floats, Ints


def sample(values: Floats) -> Sample:
    """One value per request."""
    return Sample(values, np.arange(values.size), values.size)


def arms(n: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Two lognormal streams of one distribution."""
    rng = np.random.default_rng(seed)
    return rng.lognormal(-1, 0.4, n), rng.lognormal(-1, 0.4, n)


def trimmed(
    base: Floats, cand: Floats, *, trim: float = 0.05, max_ratio: float = 1.15, floor: float = 0.0, alpha: float = 0.05
) -> Finding:
    """A paired comparison, every request its own block."""
    return compare_trimmed_mean(
        sample(base),
        sample(cand),
        np.arange(base.size),
        trim=trim,
        max_ratio=max_ratio,
        floor=floor,
        alpha=alpha,
        seed=1,
    )


def streams(base: Floats, cand: Floats, base_blocks: Ints, cand_blocks: Ints) -> tuple[LatencyStream, LatencyStream]:
    """Two arms routed at random, one value a unit."""
    weights = overlap_weights(base_blocks, cand_blocks)
    return (
        LatencyStream(sample(base), np.asarray(base_blocks), weights[0]),
        LatencyStream(sample(cand), np.asarray(cand_blocks), weights[1]),
    )
