"""Two independent streams of traffic: means, ratios and latency by routing key.

A *unit* is a routing key (a session, or a request alone); a *cell* is a group
of units that met the same traffic in both arms: a phase of the ramp, a
stretch of time, a bucket of lengths. Every unit of an arm weighs n_other/(n_b
+ n_c) of its cell (overlap weights; Li, Morgan & Zaslavsky 2018, JASA
113:390), so both arms are judged on the same mix, and cells that one arm
never saw count for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.cluster import Fit
from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Floats, exp_or_inf, require_alpha, require_margin, tally

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def overlap_weights(baseline: ArrayLike, candidate: ArrayLike) -> tuple[Floats, Floats]:
    """Weight of every unit of both arms, shapes (b,) and (c,), from their cells.

    In [0, 1); 0 in a cell without the other arm.
    """
    cells = [np.asarray(cell, dtype=np.int64) for cell in (baseline, candidate)]
    codes = np.unique(np.concatenate(cells), return_inverse=True)[1].astype(np.int64)
    first, second = codes[: cells[0].size], codes[cells[0].size :]
    size = int(codes.max(initial=-1)) + 1
    counts = tally(first, np.ones(first.size), size), tally(second, np.ones(second.size), size)
    total = np.maximum(counts[0] + counts[1], 1)
    return (counts[1] / total)[first], (counts[0] / total)[second]


@dataclass(frozen=True, slots=True)
class Units:
    """One arm's units: what each sums up to, over how much, and its weight."""

    totals: Floats
    """Shape (n,)."""
    sizes: Floats
    """What the totals are divided by (requests, tokens, 1), 0 or more, shape (n,)."""
    weights: Floats
    """From `overlap_weights`, shape (n,)."""

    @property
    def n(self) -> int:
        """Units that count."""
        return int(np.sum(self.weights > 0))

    def ratio(self) -> tuple[float, float, float]:
        """Sum of totals over sum of sizes, its variance and degrees of freedom.

        The delete-one-unit variance (CR3; MacKinnon, Nielsen & Webb 2023, J
        Econometrics 232:272): what a unit with a share h of all sizes adds is
        divided by 1 - h, since a long session draws the ratio to itself. One
        less than Kish's effective number of units are free. Raises ValueError
        where nothing is left to divide by.
        """
        below = float(np.sum(self.weights * self.sizes))
        if below <= 0:
            raise ValueError("no unit of one arm met the same traffic as the other arm")
        ratio, shares = float(np.sum(self.weights * self.totals)) / below, self.weights * self.sizes / below
        parts = self.weights * (self.totals - ratio * self.sizes) / below
        moved = np.divide(parts, 1 - shares, out=np.zeros(parts.size), where=shares < 1)
        variance = float(np.sum(moved**2)) * (parts.size - 1) / parts.size
        return ratio, variance, max(1 / float(np.sum(shares**2)) - 1, 1.0)

    def with_extreme(self, value: float) -> Units:
        """The same with one more unit of mean size and weight, all of it at `value`."""
        used = self.weights > 0
        size = float(np.mean(self.sizes[used]))
        return Units(
            np.append(self.totals, value * size),
            np.append(self.sizes, size),
            np.append(self.weights, float(np.mean(self.weights[used]))),
        )


def compare_streams_ratio(baseline: Units, candidate: Units, *, max_ratio: float, alpha: float) -> Finding:
    """Compare ratios of sums (dollars per request, session or token) as a ratio.

    ln(R_c/R_b) over the delta method's error with units as clusters, t with
    Welch's degrees of freedom. Before the margin is judged one more unit that
    costs twice the mean joins the candidate, as in `compare_ratio_of_means`,
    and the baseline for the low end, so that swapping the arms inverts the
    interval. Raises ValueError if the baseline costs nothing.
    """
    require_alpha(alpha)
    require_margin(max_ratio - 1)
    base, cand = baseline.ratio()[0], candidate.ratio()[0]
    if base <= 0:
        raise ValueError("the baseline costs nothing: a ratio to it is undefined")
    if cand <= 0:
        return _free(baseline, candidate, base, max_ratio, alpha)
    plain = _log_ratio(baseline, candidate)
    dear = _log_ratio(baseline, candidate.with_extreme(2 * cand))
    cheap = _log_ratio(baseline.with_extreme(2 * base), candidate)
    harm = plain if plain.error > 1e-12 else Fit(mean=plain.mean, error=dear.error, df=dear.df)
    how, n = "two streams, log-delta t by routing key", min(baseline.n, candidate.n)
    return Finding(
        estimate=Estimate(
            center=cand / base,
            low=exp_or_inf(cheap.bound(alpha)),
            high=exp_or_inf(dear.bound(1 - alpha)),
            confidence=1 - 2 * alpha,
            n=n,
            method=how,
        ),
        harm=Test(p=harm.upper_tail(0.0), n=n, method=how),
        noninferior=Test(p=dear.lower_tail(float(np.log(max_ratio))), n=n, method=how),
        can_reject=True,
        baseline=base,
        candidate=cand,
        margin=max_ratio,
        method=f"ratio of means: {how} (harm and margin)",
    )


def compare_streams_mean(
    baseline: Units, candidate: Units, *, reach: float, bounded: bool, margin: float, alpha: float
) -> Finding:
    """Compare mean scores (higher is better) of two streams.

    Difference of ratios of sums over Welch's error with units as clusters.
    Before the margin is judged one worst-case unit joins each arm: at 0 in the
    candidate, at `reach` in the baseline (scores are 0 to `reach`); mirrored
    for the high end. Harm is judged with it only where nothing varies.
    """
    require_alpha(alpha)
    require_margin(margin, below=1.0 if bounded else np.inf)
    limit = 1.0 if bounded else np.inf
    base, cand = baseline.ratio()[0], candidate.ratio()[0]
    plain = _difference(baseline, candidate)
    worst = _difference(baseline.with_extreme(reach), candidate.with_extreme(0.0))
    best = _difference(baseline.with_extreme(0.0), candidate.with_extreme(reach))
    harm = plain if plain.error > 1e-12 else Fit(mean=plain.mean, error=worst.error, df=worst.df)
    n, how = min(baseline.n, candidate.n), "Welch t by routing key"
    return Finding(
        estimate=Estimate(
            center=plain.mean,
            low=max(worst.bound(alpha), -limit),
            high=min(best.bound(1 - alpha), limit),
            confidence=1 - 2 * alpha,
            n=n,
            method=f"{how} with one worst-case unit an arm",
        ),
        harm=Test(p=harm.lower_tail(0.0), n=n, method=how),
        noninferior=Test(p=worst.upper_tail(-margin), n=n, method=f"{how}, worst case added"),
        can_reject=bool(np.ptp(np.concatenate([baseline.totals, candidate.totals])) > 0),
        baseline=base,
        candidate=cand,
        margin=margin,
        method=f"{how} (harm) and the same with a worst-case unit (margin): two streams of scores",
    )


def _free(baseline: Units, candidate: Units, base: float, max_ratio: float, alpha: float) -> Finding:
    """A candidate that costs nothing is no dearer."""
    n, how = min(baseline.n, candidate.n), "two streams, nothing spent"
    return Finding(
        estimate=Estimate(center=0.0, low=0.0, high=0.0, confidence=1 - 2 * alpha, n=n, method=how),
        harm=Test(p=1.0, n=n, method=how),
        noninferior=Test(p=0.0, n=n, method=how),
        can_reject=True,
        baseline=base,
        candidate=0.0,
        margin=max_ratio,
        method=f"ratio of means: {how}",
    )


def _log_ratio(baseline: Units, candidate: Units) -> Fit:
    """The log ratio of both arms' ratios."""
    (base, base_error, base_df), (cand, cand_error, cand_df) = baseline.ratio(), candidate.ratio()
    return _welch(float(np.log(cand / base)), (base_error / base**2, cand_error / cand**2), (base_df, cand_df))


def _difference(baseline: Units, candidate: Units) -> Fit:
    """Candidate's ratio minus the baseline's."""
    (base, base_error, base_df), (cand, cand_error, cand_df) = baseline.ratio(), candidate.ratio()
    return _welch(cand - base, (base_error, cand_error), (base_df, cand_df))


def _welch(mean: float, variances: tuple[float, float], dfs: tuple[float, float]) -> Fit:
    """`mean` with the error of both arms and Satterthwaite's df."""
    total = sum(variances)
    if total <= 0:
        return Fit(mean=mean, error=0.0, df=1.0)
    df = total**2 / sum(variance**2 / df for variance, df in zip(variances, dfs, strict=True))
    return Fit(mean=mean, error=float(np.sqrt(total)), df=max(df, 1.0))


def split_mismatch(candidate: ArrayLike, total: ArrayLike, share: ArrayLike) -> Test:
    """Test that each of `total` units (K,) went to the candidate with probability `share` (K,).

    Pearson's chi-square over the levels of the share; levels that expect
    fewer than 5 units in an arm are joined. A sample ratio mismatch says that
    the arms were not routed, or not recorded, as was said (Fabijan et al.
    2019, KDD).
    """
    hits, sizes, shares = (np.asarray(a, dtype=np.float64) for a in (candidate, total, share))
    sparse = np.minimum(sizes * shares, sizes * (1 - shares)) < 5
    excess, variance = hits - sizes * shares, sizes * shares * (1 - shares)
    groups = [(excess[~sparse], variance[~sparse]), (excess[sparse].sum()[None], variance[sparse].sum()[None])]
    parts = [(e, v) for e, v in zip(*(np.concatenate(g) for g in zip(*groups, strict=True)), strict=True) if v > 0]
    n = int(sizes.sum())
    if not parts:
        return Test(p=1.0, n=n, method="chi-square")
    statistic = sum(e**2 / v for e, v in parts)
    return Test(p=float(special.chdtrc(len(parts), statistic)), n=n, method="chi-square")
