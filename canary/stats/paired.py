"""Two arms that answered the same prompts; higher is better.

Differences are candidate minus baseline. `lost` counts prompts the baseline
passed and the candidate failed, `won` the reverse.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.cluster import Clustered, fit_mean, gather, harm_test
from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Floats, as_labels, as_pairs, require_alpha, require_bounded, require_margin

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def midp(lost: ArrayLike, won: ArrayLike) -> Floats:
    """McNemar's one-sided mid-p per element: P(B > lost) + P(B = lost)/2.

    B ~ Bin(lost + won, 1/2); 1 where no pair is discordant. Keeps the level,
    where the exact test is conservative (Fagerland, Lydersen & Laake 2013,
    BMC Med Res Methodol 13:91).
    """
    b, c = np.asarray(lost, dtype=np.float64), np.asarray(won, dtype=np.float64)
    above = np.where(c > 0, special.betainc(b + 1, np.maximum(c, 1e-300), 0.5), 0.0)
    log_equal = special.gammaln(b + c + 1) - special.gammaln(b + 1) - special.gammaln(c + 1)
    equal = np.exp(log_equal - (b + c) * np.log(2))
    return np.asarray(np.where(b + c > 0, above + equal / 2, 1.0))


def mcnemar_midp(lost: int, won: int) -> Test:
    """Test that the candidate loses no more prompts than it wins."""
    return Test(p=float(midp(lost, won)), n=lost + won, method="McNemar mid-p")


def tango_statistic(lost: ArrayLike, won: ArrayLike, n: ArrayLike, null: ArrayLike) -> Floats:
    """Tango's score statistic of `difference = null`, elementwise.

    T = (c - b - n d0) / sqrt(n (2q + d0 (1 - d0))) with q the restricted
    maximum-likelihood estimate of the loss rate (Tango 1998, Stat Med 17:891).
    Broadcasts; `null` in (-1, 1).
    """
    b, c = np.asarray(lost, dtype=np.float64), np.asarray(won, dtype=np.float64)
    size, d0 = np.asarray(n, dtype=np.float64), np.asarray(null, dtype=np.float64)
    linear = -b - c + (2 * size - (c - b)) * d0
    constant = -b * d0 * (1 - d0)
    root = np.sqrt(np.maximum(linear**2 - 8 * size * constant, 0))
    # of the two forms of the root take the one that does not cancel
    q = np.where(linear > 0, -2 * constant / np.maximum(root + linear, 1e-300), (root - linear) / (4 * size))
    variance = size * np.maximum(2 * q + d0 * (1 - d0), 1e-300)
    return np.asarray((c - b - size * d0) / np.sqrt(variance))


def tango_noninferiority(lost: int, won: int, n: int, margin: float) -> Test:
    """Test that the candidate is worse by `margin` (in (0, 1)) or more."""
    require_margin(margin, below=1)
    p = float(special.ndtr(-tango_statistic(lost, won, n, -margin)))
    return Test(p=p, n=n, method="Tango score")


def tango_bounds(lost: ArrayLike, won: ArrayLike, n: ArrayLike, z: float) -> tuple[Floats, Floats]:
    """Where Tango's falling statistic passes +z and -z, elementwise.

    Sixty halvings of [-1, 1] leave no bit to gain; -1 where every pair is
    lost, 1 where every pair is won.
    """
    b, c, size = np.broadcast_arrays(np.asarray(lost), np.asarray(won), np.asarray(n))
    level = np.array([z, -z]).reshape((2,) + (1,) * b.ndim)
    left, right = np.full((2, *b.shape), -1.0), np.full((2, *b.shape), 1.0)
    for _ in range(60):
        middle = (left + right) / 2
        above = tango_statistic(b, c, size, middle) > level
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    middle = (left + right) / 2
    return np.where(b == size, -1.0, middle[0]), np.where(c == size, 1.0, middle[1])


def tango_interval(lost: int, won: int, n: int, confidence: float) -> Estimate:
    """Tango's score interval of the difference, in [-1, 1].

    The exact inverse of `tango_noninferiority` at alpha = (1 - confidence)/2;
    it ends at -1 when every pair is lost and at 1 when every pair is won.
    """
    low, high = tango_bounds(lost, won, n, float(special.ndtri(0.5 + confidence / 2)))
    return Estimate(
        center=(won - lost) / n,
        low=float(low),
        high=float(high),
        confidence=confidence,
        n=n,
        method="Tango score interval",
    )


def compare_binary(baseline: ArrayLike, candidate: ArrayLike, *, margin: float, alpha: float) -> Finding:
    """Compare pass/fail results of the same prompts.

    Takes 0/1 arrays of shape (n,), one row per independent prompt, and a
    margin in (0, 1). Raises ValueError for other values or shapes.
    """
    base, cand = as_pairs(baseline, candidate)
    require_alpha(alpha)
    if not np.all(np.isin(base, (0, 1)) & np.isin(cand, (0, 1))):
        raise ValueError("'baseline' and 'candidate' must be 0 or 1")
    n = base.size
    lost, won = int(np.sum(base > cand)), int(np.sum(cand > base))
    return Finding(
        estimate=tango_interval(lost, won, n, 1 - 2 * alpha),
        harm=mcnemar_midp(lost, won),
        noninferior=tango_noninferiority(lost, won, n, margin),
        can_reject=lost + won > 0,
        baseline=float(base.mean()),
        candidate=float(cand.mean()),
        margin=margin,
        method="McNemar mid-p (harm) and Tango score (margin): paired pass/fail",
        discordance=(lost + won) / n,
    )


def count_wins(baseline: ArrayLike, candidate: ArrayLike) -> tuple[Floats, Floats]:
    """Which arm has the better grade, prompt by prompt, as two 0/1 arrays (n,).

    For ordinal grades, whose steps are no distances: fed to `compare_binary`
    or `compare_pooled` (kind `binary`), a prompt the candidate answers worse
    is a loss, a better one a win, a tie neither, and the effect is the net
    share won (its sign test and Tango's interval).
    """
    base, cand = as_pairs(baseline, candidate)
    return (base > cand).astype(np.float64), (cand > base).astype(np.float64)


def compare_scores(
    baseline: ArrayLike,
    candidate: ArrayLike,
    clusters: ArrayLike,
    *,
    margin: float,
    alpha: float,
    bounded: bool,
    seed: int,
) -> Finding:
    """Compare per-prompt mean scores of shape (n,).

    `clusters` (n,) names what was drawn independently. `bounded` scores lie in
    [0, 1], else ValueError. See `weigh_differences` for the tests.
    """
    base, cand = as_pairs(baseline, candidate)
    labels = as_labels("clusters", clusters, base.size)
    zeros = np.zeros(base.size, dtype=np.int64)
    return weigh_differences(
        gather(base, labels, zeros, np.ones(1)),
        gather(cand, labels, zeros, np.ones(1)),
        reach=reach_of(base, cand, bounded=bounded),
        bounded=bounded,
        margin=margin,
        alpha=alpha,
        seed=seed,
    )


def reach_of(base: Floats, cand: Floats, *, bounded: bool) -> float:
    """The largest loss one pair can show.

    1 for bounded scores (ValueError outside [0, 1]); for unbounded ones the
    range of everything observed, a stand-in that keeps a run of equal
    differences from proving a margin by having no variance.
    """
    if not bounded:
        return float(max(base.max(), cand.max()) - min(base.min(), cand.min()))
    require_bounded("baseline", base)
    require_bounded("candidate", cand)
    return 1.0


def weigh_differences(
    base: Clustered,
    cand: Clustered,
    *,
    reach: float,
    bounded: bool,
    margin: float,
    alpha: float,
    seed: int,
) -> Finding:
    """Both tests of a weighted mean difference of clustered scores.

    Margin: cluster-robust t after adding one worst-case cluster (difference
    `-reach`), without which rare full losses pass far too often (0.40 of the
    runs at a nominal 0.05 for n = 30). The interval's low end inverts that
    test; its high end is the mirror image (one cluster at `+reach`), so that
    swapping the arms swaps and negates the ends. Where nothing varies even
    so, p is 1 and the ends are infinite, or those of the scale if it is
    bounded. Harm: `harm_test`.
    """
    require_alpha(alpha)
    limit = 1.0 if bounded else np.inf
    require_margin(margin, below=limit)
    data = replace(base, sums=cand.sums - base.sums)
    plain, worst, best = (fit_mean(part) for part in (data, data.with_extreme(-reach), data.with_extreme(reach)))
    units = int(data.clusters.max()) + 1
    harm = harm_test(data, seed=seed)
    warnings = ("one cluster only: nothing independent to compare",) if units == 1 else ()
    return Finding(
        estimate=Estimate(
            center=plain.mean,
            low=max(worst.bound(alpha), -limit),
            high=min(best.bound(1 - alpha), limit),
            confidence=1 - 2 * alpha,
            n=units,
            method="cluster-robust t with one worst-case cluster",
        ),
        harm=harm,
        noninferior=Test(p=worst.upper_tail(-margin), n=units, method="cluster-robust t, worst case added"),
        can_reject=bool(np.any(data.sums != 0)),
        baseline=float(np.sum(base.weights * base.means)),
        candidate=float(np.sum(cand.weights * cand.means)),
        margin=margin,
        method=f"{harm.method} (harm) and cluster-robust t with a worst-case pair (margin): paired scores",
        warnings=warnings,
        spread=plain.error * units**0.5 if np.isfinite(plain.error) else None,
        reach=reach,
    )
