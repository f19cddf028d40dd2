"""Latency of two streams: body and tail, resampled by stretches of time that both arms share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from canary.contrast import Contrast, Stream
from canary.plan import Plan
from canary.signals.latency import QUANTILES, SLOW_FACTOR, TRIMS
from canary.signals.levels import final_levels
from canary.signals.reading import Reading, read, seed_of, with_floor
from canary.signals.routed_means import shown
from canary.signals.wording import Unit, seconds
from canary.stats.blocks import choose_blocks
from canary.stats.confidence_sequence import quantile_sequence
from canary.stats.latency import Sample
from canary.stats.results import Finding
from canary.stats.stream_latency import LatencyStream, compare_unpaired_quantile, compare_unpaired_trimmed_mean
from canary.stats.streams import overlap_weights
from canary.timing import RatioRule

__all__ = ["SLOW_FACTOR", "ratio_readings"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Arms = tuple[LatencyStream, LatencyStream]

T_OPT = 1_000.0
_CHARTED = (0.5, 0.99)


def ratio_readings(contrast: Contrast, plan: Plan, rules: Mapping[str, RatioRule | None]) -> Iterator[Reading]:
    """Every rule the policy has for the body and the tail of one latency, by the signal's name.

    Answers without an error only: what failed is counted as slow.
    """
    arms = None
    charted = _chart(contrast, plan)
    for name, rule in rules.items():
        if rule is None:
            continue
        if arms is None and contrast.n:
            arms = _streams(contrast)
        yield _reading(contrast, arms, plan, name, rule, charted)
        charted = ()


def _reading(
    contrast: Contrast,
    arms: Arms | None,
    plan: Plan,
    name: str,
    rule: RatioRule,
    charted: tuple[str, ...],
) -> Reading:
    metric = name.rpartition("/")[2]
    reading = read(
        replace(contrast, warnings=(*contrast.warnings, *charted)),
        lambda: shown(_test(arms, plan, name, metric, rule), plan),
        name=name,
        metric=metric,
        tier=rule.tier,
        effect="ratio",
        unit=Unit.SECONDS,
        worse=1,
        margin=rule.max_ratio,
    )
    return with_floor(reading, rule)


def _test(arms: Arms | None, plan: Plan, name: str, metric: str, rule: RatioRule) -> Finding:
    if arms is None:
        raise ValueError("no request of one arm was served")
    alpha, seed = final_levels(plan).promote, seed_of(plan, name)
    if metric in QUANTILES:
        return compare_unpaired_quantile(*arms, q=QUANTILES[metric], max_ratio=rule.max_ratio, alpha=alpha, seed=seed)
    return compare_unpaired_trimmed_mean(
        *arms, trim=TRIMS[metric], max_ratio=rule.max_ratio, floor=rule.floor_s, alpha=alpha, seed=seed
    )


def _streams(contrast: Contrast) -> Arms | None:
    arms = [_served(stream) for stream in (contrast.baseline, contrast.candidate)]
    if min(arm.values.size for arm in arms) == 0:
        return None
    blocks = _blocks(*arms)
    cells = [
        block * (1 + max(int(a.buckets.max()) for a in arms)) + arm.buckets
        for block, arm in zip(blocks, arms, strict=True)
    ]
    weights = overlap_weights(*cells)
    first, second = (
        LatencyStream(Sample(arm.values, arm.units, arm.phases.size), block, weight)
        for arm, block, weight in zip(arms, blocks, weights, strict=True)
    )
    return first, second


def _served(stream: Stream) -> Stream:
    """What was answered, of a known length where only equal lengths compare."""
    kept = np.isfinite(stream.values) & (stream.buckets >= 0)
    return replace(
        stream,
        values=stream.values[kept],
        sizes=stream.sizes[kept],
        units=stream.units[kept],
        times=stream.times[kept],
        buckets=stream.buckets[kept],
    )


def _blocks(baseline: Stream, candidate: Stream) -> tuple[Ints, Ints]:
    """Each value's stretch of time, as long as what the arms' gap carries from one to the next."""
    fine = [arm.blocks[arm.units] for arm in (baseline, candidate)]
    count = 1 + max(int(of_arm.max()) for of_arm in fine)
    levels = [_levels(arm.values, of_arm, count) for arm, of_arm in zip((baseline, candidate), fine, strict=True)]
    gaps = levels[1] - levels[0]
    gaps = gaps[np.isfinite(gaps)]
    length = int(np.sum(choose_blocks(gaps) == 0)) if gaps.size else 1
    return fine[0] // length, fine[1] // length


def _levels(values: Floats, blocks: Ints, count: int) -> Floats:
    """Mean log latency of every stretch, NaN where it is empty."""
    sizes = np.bincount(blocks, minlength=count)
    sums = np.bincount(blocks, weights=np.log(np.maximum(values, 1e-9)), minlength=count)
    return np.asarray(np.divide(sums, sizes, out=np.full(count, math.nan), where=sizes > 0))


def _chart(contrast: Contrast, plan: Plan) -> tuple[str, ...]:
    """While the log grows: quantiles of both arms with intervals that hold at every look."""
    if plan.traffic is None or not plan.traffic.open:
        return ()
    arms = [stream.values[np.isfinite(stream.values)] for stream in (contrast.baseline, contrast.candidate)]
    if min(arm.size for arm in arms) == 0:
        return ()
    alpha = 2 * final_levels(plan).promote
    parts = []
    for q in _CHARTED:
        ends = [quantile_sequence(arm, q, alpha=alpha, t_opt=T_OPT) for arm in arms]
        texts = [f"{seconds(end.center)} [{_end(end.low)}, {_end(end.high)}]" for end in ends]
        parts.append(f"p{100 * q:g} {texts[0]} -> {texts[1]}")
    return (f"{'; '.join(parts)} ({100 * (1 - alpha):g}% at every look, were requests independent)",)


def _end(bound: float) -> str:
    return seconds(bound) if math.isfinite(bound) else "-"
