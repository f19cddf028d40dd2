"""How often the whole rule promotes, holds and rolls back.

A seeded simulation of the verdict for pass/fail quality: per-stratum and
pooled signals, Holm on harm, intersection-union on the margin, sign-off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.records import MINIMUM_PAIRS
from canary.stats.paired import midp, tango_statistic
from canary.stats.vector import Bools, Floats, as_floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingCharacteristics:
    """Shares of simulated runs; they sum to 1."""

    promote: float
    hold: float
    rollback: float
    replicates: int

    @property
    def error(self) -> float:
        """Largest Monte-Carlo standard error of the three shares."""
        return float(np.sqrt(0.25 / self.replicates))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signals:
    """What each simulated signal shows, arrays of shape (runs, signals)."""

    harm: Floats
    inside: Floats
    estimate: Floats
    can_reject: Bools


def joint_promote_probability(  # noqa: PLR0913 - every number of the rule, named
    n: ArrayLike,
    psi: ArrayLike,
    *,
    pooled_margin: float,
    stratum_margins: ArrayLike,
    alpha_promote: float = 0.05,
    alpha_rollback: float = 0.05,
    delta: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    replicates: int = 3_000,
    seed: int = 0,
) -> OperatingCharacteristics:
    """How often strata of n (K,) pairs, all together, promote.

    `psi`, `stratum_margins` and the true differences `delta` broadcast to
    (K,); an unchanged candidate has delta 0. `weights` (K,) are the pooled
    estimate's, by default the sample's shares.
    """
    sizes = as_floats("n", n)
    margins = np.append(np.broadcast_to(stratum_margins, sizes.shape), pooled_margin)
    lost, won = _draw(sizes, psi, delta, replicates, np.random.default_rng(seed))
    strata = _judge_counts(lost, won, sizes, margins[:-1])
    shares = sizes / sizes.sum() if weights is None else as_floats("weights", weights)
    if np.allclose(shares, sizes / sizes.sum(), rtol=0, atol=1e-9):
        total = [part.sum(axis=1, keepdims=True) for part in (lost, won)]
        pooled = _judge_counts(total[0], total[1], sizes.sum(keepdims=True), margins[-1:])
    else:
        pooled = _judge_weighted(lost, won, sizes, shares, pooled_margin)
    both = _Signals(
        harm=np.hstack([strata.harm, pooled.harm]),
        inside=np.hstack([strata.inside, pooled.inside]),
        estimate=np.hstack([strata.estimate, pooled.estimate]),
        can_reject=np.hstack([strata.can_reject, pooled.can_reject]),
    )
    enough = np.append(sizes, sizes.sum()) >= MINIMUM_PAIRS
    return _verdicts(both, enough, pooled_margin, alpha_promote, alpha_rollback)


def _draw(
    sizes: Floats, psi: ArrayLike, delta: ArrayLike, replicates: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Lost and won pairs of every run and stratum, shape (replicates, K)."""
    shift = np.broadcast_to(np.asarray(delta, dtype=np.float64), sizes.shape)
    share = np.maximum(np.broadcast_to(np.asarray(psi, dtype=np.float64), sizes.shape), np.abs(shift))
    whole = sizes.astype(np.int64)
    discordant = rng.binomial(whole, share, size=(replicates, sizes.size))
    losing = np.divide(share - shift, 2 * share, out=np.zeros_like(share), where=share > 0)
    lost = rng.binomial(discordant, np.clip(losing, 0, 1))
    return lost.astype(np.float64), (discordant - lost).astype(np.float64)


def _judge_counts(lost: Floats, won: Floats, sizes: Floats, margins: Floats) -> _Signals:
    """McNemar's mid-p and Tango's score, as `compare_binary` has them."""
    return _Signals(
        harm=midp(lost, won),
        inside=special.ndtr(-tango_statistic(lost, won, sizes, -margins)),
        estimate=(won - lost) / sizes,
        can_reject=lost + won > 0,
    )


def _judge_weighted(lost: Floats, won: Floats, sizes: Floats, weights: Floats, margin: float) -> _Signals:
    """The post-stratified t test from counts, as `compare_pooled` has it.

    Sums of squares are closed forms of (lost, won) with the worst-case pair
    added; harm takes the t test where the gate may flip signs.
    """

    def fit(extra: Floats) -> tuple[Floats, Floats, Floats]:
        n = sizes + extra
        mean = (won - lost - extra) / n
        part = weights**2 * ((lost + won + extra) - n * mean**2) / (n * np.maximum(n - 1, 1))
        variance = np.maximum(part.sum(axis=1, keepdims=True), 1e-300)
        df = variance**2 / np.maximum((part**2 / np.maximum(n - 1, 1)).sum(axis=1, keepdims=True), 1e-300)
        return (mean @ weights)[:, None], np.sqrt(variance), np.clip(df, 1, 1e9)

    added = (sizes == 1).astype(np.float64)
    added[np.argmax(weights / (sizes + 1))] = 1.0
    center, error, df = fit(np.zeros(sizes.size))
    worst, wide, worst_df = fit(added)
    return _Signals(
        harm=special.stdtr(df, center / error),
        inside=special.stdtr(worst_df, -(worst + margin) / wide),
        estimate=center,
        can_reject=(lost + won).sum(axis=1, keepdims=True) > 0,
    )


def _holm_rows(p: Floats, in_family: Bools) -> Floats:
    """Holm's adjusted p of each row over its own family; 1 outside it."""
    values = np.where(in_family, p, 2.0)
    order = np.argsort(values, axis=1)
    size = in_family.sum(axis=1, keepdims=True)
    factor = np.maximum(size - np.arange(p.shape[1]), 1)
    stepped = np.maximum.accumulate(np.take_along_axis(values, order, axis=1) * factor, axis=1)
    adjusted = np.empty_like(stepped)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1), axis=1)
    return adjusted


def _verdicts(
    signals: _Signals, enough: Bools, pooled_margin: float, alpha_promote: float, alpha_rollback: float
) -> OperatingCharacteristics:
    """The statuses of every run, first match wins, and the worst of them."""
    is_harmed = (_holm_rows(signals.harm, signals.can_reject & enough) <= alpha_rollback) & enough
    is_inside = (signals.inside < alpha_promote) & enough
    fails = is_harmed & ~is_inside
    waits = ~is_inside | (is_harmed & (signals.estimate < -pooled_margin))
    rollback = fails.any(axis=1)
    hold = ~rollback & waits.any(axis=1)
    shares = [float(np.mean(part)) for part in (~rollback & ~hold, hold, rollback)]
    return OperatingCharacteristics(promote=shares[0], hold=shares[1], rollback=shares[2], replicates=rollback.size)
