"""The rules under comparison: counts of R runs in, a verdict each out.

Each rule but ours is written from its published description and checked
against that description's own examples in tests/benchmarks/test_rules.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special, stats

from benchmarks.decisions.counts import HOLD, PROMOTE, ROLLBACK, Counts, Floats, Ints
from benchmarks.decisions.kayenta import LOW, judge_counts
from canary.policy import Policy
from canary.records import MINIMUM_PAIRS
from canary.stats.paired import midp, tango_statistic

POLICY = Policy()
"""The default: -3 points pooled, -10 in any stratum, 5 % both ways."""
NEL_DEFAULT = 0.015
"""`max_drop` of nel gate's default tier, `supporting`."""
NEL_MINIMUM = 10

Rule = Callable[[Counts], Ints]


def this_gate(counts: Counts) -> Ints:
    """The default policy on recorded pass/fail scores, as `canary compare` applies it.

    The same tests and the same table of statuses, for all runs at once;
    `product.py` checks it against `canary.evaluate`. No response errored: the
    error signals then only ask for enough pairs.
    """
    parts, quality = counts.with_pool, POLICY.quality
    strata = parts.n.shape[1] - 1
    margins = np.append(np.full(strata, quality.stratum.max_drop), quality.max_drop)
    size = np.maximum(parts.n, 1)
    enough = parts.n >= MINIMUM_PAIRS
    inside = enough & (special.ndtr(-tango_statistic(parts.lost, parts.won, size, -margins)) < POLICY.alpha.promote)
    harmed = adjust(midp(parts.lost, parts.won), enough & (parts.lost + parts.won > 0)) <= POLICY.alpha.rollback
    beyond = (parts.won - parts.lost) / size < -quality.max_drop
    beyond[:, -1] = False
    waits = (parts.n > 0) & (~inside | (harmed & beyond))
    waits[:, -1] |= ~_shows_no_errors(parts.n[:, -1])
    return _verdict(rollback=(harmed & ~inside).any(axis=1), hold=waits.any(axis=1))


def adjust(p: Floats, in_family: np.ndarray) -> Floats:
    """Holm's adjusted p of each row over its own family; 2 outside it."""
    values = np.where(in_family, p, 2.0)
    order = np.argsort(values, axis=1)
    left = np.maximum(in_family.sum(axis=1, keepdims=True) - np.arange(p.shape[1]), 1)
    stepped = np.maximum.accumulate(np.take_along_axis(values, order, axis=1) * left, axis=1)
    adjusted = np.empty_like(stepped)
    np.put_along_axis(adjusted, order, stepped, axis=1)
    return np.where(in_family, np.minimum(adjusted, 1), 2.0)


def _shows_no_errors(n: Ints) -> np.ndarray:
    """Whether so many pairs without an error exclude a rise by the margin."""
    p = special.ndtr(-tango_statistic(0, 0, np.maximum(n, 1), -POLICY.errors.server.max_increase))
    return np.asarray((p < POLICY.alpha.promote) & (n >= MINIMUM_PAIRS))


def _verdict(*, rollback: np.ndarray, hold: np.ndarray) -> Ints:
    return np.where(rollback, ROLLBACK, np.where(hold, HOLD, PROMOTE)).astype(np.int64)


def mean_threshold(counts: Counts) -> Ints:
    """Promote iff the mean did not drop by more than the margin."""
    pool = counts.pooled
    drop = (pool.lost - pool.won)[:, 0]
    return _verdict(rollback=drop > POLICY.quality.max_drop * pool.n[:, 0] + 1e-9, hold=np.zeros(drop.size, bool))


def no_significant_difference(counts: Counts) -> Ints:
    """Promote unless the exact two-sided McNemar test finds a loss at 5 %."""
    pool = counts.pooled
    lost, won = pool.lost[:, 0], pool.won[:, 0]
    p = np.minimum(2 * special.bdtr(np.minimum(lost, won), lost + won, 0.5), 1)
    return _verdict(rollback=(p <= 0.05) & (lost > won), hold=np.zeros(lost.size, bool))


def kayenta(counts: Counts) -> Ints:
    """Kayenta's judge; every stratum and the pool a critical metric that may not decrease."""
    return _verdict(rollback=(judge_counts(counts.with_pool) == LOW).any(axis=1), hold=np.zeros(len(counts.n), bool))


def nel_gate(counts: Counts) -> Ints:
    """`nel gate` with its default tier: the whole set one benchmark, 1.5 points."""
    pool = counts.pooled
    return _aggregate(nel_status(pool.lost, pool.won, pool.n, np.full(1, NEL_DEFAULT)))


def nel_gate_our_margins(counts: Counts) -> Ints:
    """`nel gate` told what ours is told: each stratum a benchmark of 10 points, the pool one of 3."""
    parts, quality = counts.with_pool, POLICY.quality
    margins = np.append(np.full(parts.n.shape[1] - 1, quality.stratum.max_drop), quality.max_drop)
    status = nel_status(parts.lost, parts.won, parts.n, margins)
    return _aggregate(np.where(parts.n > 0, status, PROMOTE))


def nel_status(lost: Ints, won: Ints, n: Ints, max_drop: Floats) -> Ints:
    """PASS, INSUFFICIENT_EVIDENCE or BREACH of benchmarks as PROMOTE, HOLD or ROLLBACK.

    Two-sided 95 % t interval of the mean paired difference, ends rounded to
    six places: passes if the worst damage in it is at most `max_drop`, a
    breach if the least is more. Fewer than ten pairs are insufficient.
    """
    size = np.maximum(n, 2)
    mean = (won - lost) / size
    spread = np.maximum((lost + won) - size * mean**2, 0) / (size - 1)
    return nel_verdict(mean, np.sqrt(spread / size), n, max_drop)


def nel_verdict(mean: Floats, error: Floats, n: Ints, max_drop: Floats) -> Ints:
    """The same from mean differences, their standard errors and pairs."""
    reach = stats.t.ppf(0.975, np.maximum(n, 2) - 1) * error
    least, most = np.round(-mean - reach, 6), np.round(-mean + reach, 6)
    status = np.where(least > max_drop, ROLLBACK, np.where(most <= max_drop, PROMOTE, HOLD))
    return np.where(n < NEL_MINIMUM, HOLD, status).astype(np.int64)


def _aggregate(status: Ints) -> Ints:
    """NO-GO for any breach, else INCONCLUSIVE for any lack, else GO: the worst of them."""
    return np.asarray(status.max(axis=1))


RULES: dict[str, Rule] = {
    "this gate": this_gate,
    "mean threshold": mean_threshold,
    "not significant": no_significant_difference,
    "Kayenta": kayenta,
    "nel gate": nel_gate,
    "nel gate, our margins": nel_gate_our_margins,
}
"""Column of the table to rule, ours first."""
