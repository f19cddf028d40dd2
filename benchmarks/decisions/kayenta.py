"""Kayenta's Mann-Whitney rule, from its published description.

A metric is High (Low) when the interval of the Hodges-Lehmann shift, candidate
minus baseline, lies above (below) a quarter of the shift's own size, and the
ratio of means says the same. The judge sets 98 % and 0.25; effect sizes default
to a ratio of 1. Interval and shift are zeros of the normal approximation of the
rank-sum statistic with ties and continuity correction, found by Brent's method
to a tolerance of 1e-4, as R's `wilcox.test` finds them. Sources: Kayenta's
canary-config documentation and judge at revision a69573b (2025); R Core Team,
`wilcox.test`; Brent 1973, Algorithms for Minimization without Derivatives, ch. 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from benchmarks.decisions.counts import Counts, Floats, Ints

CONFIDENCE, TOLERANCE = 0.98, 0.25
_ROOT_TOLERANCE, _EPSILON, _STEPS = 1e-4, 2.0**-52, 1_000
_NOISE = 1e-5

Function = Callable[[Floats], Floats]

LOW, PASS, HIGH = -1, 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Hodges-Lehmann shift of m metrics with its interval, arrays (m,)."""

    estimate: Floats
    low: Floats
    high: Floats


def brent(function: Function, start: Floats, end: Floats, at_start: Floats, at_end: Floats) -> Floats:
    """Zeros between `start` and `end`, elementwise; (m,) in, (m,) out.

    Brent's method step by step: secant or inverse quadratic interpolation
    where it converges, halving where it does not. On a function with a jump
    the answer is a point within 1e-4 of it, which one depends on the path.
    """
    last, best, other = start.copy(), end.copy(), start.copy()
    f_last, f_best, f_other = at_start.copy(), at_end.copy(), at_start.copy()
    done = (at_start == 0) | (at_end == 0)
    best = np.where(at_start == 0, start, best)
    for _ in range(_STEPS):
        step = best - last
        swap = np.abs(f_other) < np.abs(f_best)
        last, best, other = np.where(swap, best, last), np.where(swap, other, best), np.where(swap, best, other)
        f_last, f_best, f_other = (
            np.where(swap, f_best, f_last),
            np.where(swap, f_other, f_best),
            np.where(swap, f_best, f_other),
        )
        least = 2 * _EPSILON * np.abs(best) + _ROOT_TOLERANCE / 2
        half = (other - best) / 2
        done |= (np.abs(half) <= least) | (f_best == 0)
        if done.all():
            break
        move = _interpolated(step, least, half, (last, best, other), (f_last, f_best, f_other))
        move = np.where(np.abs(move) < least, np.copysign(least, move), move)
        last, f_last = np.where(done, last, best), np.where(done, f_last, f_best)
        best = np.where(done, best, best + move)
        f_best = np.where(done, f_best, function(best))
        same = ~done & (f_best * f_other > 0)
        other, f_other = np.where(same, last, other), np.where(same, f_last, f_other)
    return best


def _interpolated(
    step: Floats, least: Floats, half: Floats, at: tuple[Floats, Floats, Floats], f: tuple[Floats, Floats, Floats]
) -> Floats:
    """The next move: through two or three points if that is safe, else half way."""
    (last, best, other), (f_last, f_best, f_other) = at, f
    gap = other - best
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio, far, near = f_best / f_last, f_last / f_other, f_best / f_other
        linear = gap * ratio, 1 - ratio
        quadratic = (
            ratio * (gap * far * (far - near) - (best - last) * (near - 1)),
            (far - 1) * (near - 1) * (ratio - 1),
        )
        p, q = (np.where(last == other, *parts) for parts in zip(linear, quadratic, strict=True))
        q = np.where(p > 0, -q, q)
        p = np.abs(p)
        safe = (np.abs(step) >= least) & (np.abs(f_last) > np.abs(f_best))
        safe &= (p < 0.75 * gap * q - np.abs(least * q) / 2) & (p < np.abs(step * q / 2))
        return np.where(safe, p / q, half)


def find_shift(statistic: Function, lowest: Floats, highest: Floats, confidence: float) -> Shift:
    """Where the falling rank statistic passes 0 and both normal quantiles."""
    z = float(special.ndtri(0.5 + confidence / 2))
    ends = statistic(lowest), statistic(highest)

    def root(level: float) -> Floats:
        found = brent(lambda at: statistic(at) - level, lowest, highest, ends[0] - level, ends[1] - level)
        if level == 0:
            return found
        return np.where(ends[0] <= level, lowest, np.where(ends[1] >= level, highest, found))

    return Shift(estimate=root(0.0), low=root(z), high=root(-z))


def classify(shift: Shift, ratio: Floats, tolerance: float, allowed: tuple[float, float] = (1.0, 1.0)) -> Ints:
    """HIGH, LOW or PASS of m metrics.

    `allowed` are the ratios of means from which a decrease and an increase
    count; a ratio that is undefined (NaN) counts always.
    """
    bound = tolerance * np.abs(shift.estimate)
    high = (shift.low > bound) & ~(ratio < allowed[1])
    low = (shift.high < -bound) & ~(ratio > allowed[0])
    return np.where(high, HIGH, np.where(low, LOW, PASS)).astype(np.int64)


def mean_ratio(baseline: Floats, candidate: Floats) -> Floats:
    """Candidate over baseline; NaN where either mean is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where((baseline == 0) | (candidate == 0), np.nan, candidate / baseline))


def shift_of_values(baseline: Floats, candidate: Floats, confidence: float = CONFIDENCE) -> Shift:
    """The shift of one metric's points, arrays (n,) and (m,); each field has shape (1,)."""
    lowest, highest = candidate.min() - baseline.max(), candidate.max() - baseline.min()
    statistic = rank_statistic(baseline, candidate)
    return find_shift(statistic, np.array([lowest]), np.array([highest]), confidence)


def rank_statistic(baseline: Floats, candidate: Floats) -> Function:
    """Standardised rank sum of the candidate moved down by (1,) some distance."""
    base, cand = np.sort(baseline), np.sort(candidate)

    def statistic(at: Floats) -> Floats:
        moved = cand - at[0]
        above, upto = (np.searchsorted(base, moved, side=side).sum() for side in ("left", "right"))
        ties = np.unique(np.concatenate([moved, base]), return_counts=True)[1].astype(np.float64)
        excess = (above + upto - base.size * cand.size) / 2
        return _standardise(np.array([excess]), cand.size, base.size, np.sum(ties**3 - ties))

    return statistic


def _standardise(excess: Floats, m: Ints | int, n: Ints | int, ties: Floats | float) -> Floats:
    """The rank sum's excess over its mean in standard deviations; NaN where all are tied."""
    total = np.asarray(m + n, dtype=np.float64)
    variance = m * n / 12 * ((total + 1) - ties / (total * (total - 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((excess - np.sign(excess) / 2) / np.sqrt(variance))


def judge_values(
    baseline: Floats,
    candidate: Floats,
    *,
    tolerance: float = TOLERANCE,
    confidence: float = CONFIDENCE,
    allowed: tuple[float, float] = (1.0, 1.0),
    seed: int = 0,
) -> int:
    """HIGH, LOW or PASS of one metric from its points.

    Equal points pass. Two constants differ only once a little normal noise,
    1e-5 of the value, is added to each.
    """
    if baseline.size == candidate.size and np.array_equal(np.sort(baseline), np.sort(candidate)):
        return PASS
    if np.ptp(baseline) == 0 and np.ptp(candidate) == 0:
        if baseline[0] == candidate[0]:
            return PASS
        rng = np.random.default_rng(seed)
        baseline, candidate = (rng.normal(arm, np.abs(arm) * _NOISE) for arm in (baseline, candidate))
    ratio = mean_ratio(np.array([baseline.mean()]), np.array([candidate.mean()]))
    return int(classify(shift_of_values(baseline, candidate, confidence), ratio, tolerance, allowed)[0])


def judge_counts(counts: Counts) -> Ints:
    """HIGH, LOW or PASS of every run and stratum, 1 and 0 for each pass and failure.

    Cells that share their counts are judged once. A stratum without pairs has
    no data, which alone fails nothing.
    """
    keys = np.stack([counts.baseline_passes, counts.candidate_passes, counts.n], axis=-1)
    unique, code = np.unique(keys.reshape(-1, 3), axis=0, return_inverse=True)
    base, cand, n = unique.T
    rest = (base != cand) & (base * (n - base) + cand * (n - cand) > 0)
    label = np.sign(cand - base)  # where both are constant: all passed against all failed
    label[rest] = _judge_shares(base[rest], cand[rest], n[rest])
    return np.asarray(label[code].reshape(counts.n.shape), dtype=np.int64)


def _judge_shares(base: Ints, cand: Ints, n: Ints) -> Ints:
    """Labels of m metrics of 0/1 points from passes `base` and `cand` of `n`."""
    if n.size == 0:
        return np.zeros(0, dtype=np.int64)
    lowest = np.where(cand == n, 1.0, 0.0) - np.where(base == 0, 0.0, 1.0)
    highest = np.where(cand == 0, 0.0, 1.0) - np.where(base == n, 1.0, 0.0)

    def statistic(at: Floats) -> Floats:
        moved = np.stack([0 - at, 1 - at])
        held = np.stack([n - cand, cand])
        others = np.stack([n - base, base])
        excess, ties = np.zeros(n.size), np.zeros(n.size)
        loose = others.astype(np.float64)
        for point, count in zip(moved, held, strict=True):
            group = count.astype(np.float64)
            for value in (0, 1):
                excess += count * others[value] * np.sign(point - value) / 2
                group = group + np.where(point == value, others[value], 0)
                loose[value] = np.where(point == value, 0, loose[value])
            ties += group**3 - group
        ties += np.sum(loose**3 - loose, axis=0)
        return _standardise(excess, n, n, ties)

    return classify(find_shift(statistic, lowest, highest, CONFIDENCE), mean_ratio(base / n, cand / n), TOLERANCE)
