"""Cost as a ratio of means; lower is better.

The bill is the sum, so its ratio is the ratio of means, not the mean of
ratios. Values are costs per unit (request, session), 0 or more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from canary.stats.cluster import Clustered, Fit, effective_clusters, fit_mean, gather
from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Floats, Ints, as_labels, as_pairs, exp_or_inf, require_alpha

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

STRETCHES = 20
"""Longer ones forget better, fewer cost power: 20 have a t of 1.73 where many have 1.64."""
ALIKE = 0.4
"""More like the one before it than this, stretches hang together: independent ones seem to 2 times in 100."""
Fits = tuple[Fit, Fit, Fit]
"""As measured, and with one more request that is dear, or cheap."""
_FEW = 5
"""Fewer effective requests than this carry a difference: the mean may mislead."""


def compare_ratio_of_means(
    baseline: ArrayLike,
    candidate: ArrayLike,
    clusters: ArrayLike,
    *,
    max_ratio: float,
    alpha: float,
    in_time: bool = False,
) -> Finding:
    """Compare mean costs of the same prompts, arrays of shape (n,).

    ln(mean_c/mean_b) over the cluster-robust error of c_i/mean_c -
    b_i/mean_b (delta method with the covariance), t with G - 1 df. Before the
    margin is judged one more cluster is added whose candidate costs its mean
    too much: costs are skewed, and without it 30 to 100 prompts pass a ratio
    at the margin up to 9 times in 100 at a nominal 5, and equal costs pass
    any. The low end mirrors the high one, so that swapping the arms inverts
    the interval. A candidate that costs nothing has ratio 0. Raises
    ValueError if the baseline costs nothing: the ratio is undefined.

    `in_time` says that the costs are times, in the order of the clock: what
    makes one arm slow for a while is then no coincidence, and the error is
    that of 20 stretches (batch means, Schmeiser 1982) where it is the larger.
    Where stretches hang together too, even that is too small, and ValueError
    is raised: nobody knows what another hour would have cost.
    """
    base, cand = as_pairs(baseline, candidate)
    labels = as_labels("clusters", clusters, base.size)
    _require(base, cand, max_ratio, alpha)
    excess = _relative(cand) - _relative(base)
    data = _gather(excess, labels)
    fits = fit_mean(data), fit_mean(data.with_extreme(1.0)), fit_mean(data.with_extreme(-1.0))
    if in_time and base.size > STRETCHES:
        _require_forgetful(excess)
    how, units = "paired, cluster-robust t of the log ratio", int(labels.max()) + 1
    if in_time and base.size > STRETCHES and _reach(stretched := _stretched(excess), alpha) > _reach(fits, alpha):
        fits, how = stretched, f"{how} over {STRETCHES} stretches of time"
    plain, dear, cheap = fits
    harm = plain if plain.error > 1e-12 else replace(dear, mean=0.0)
    lumpy = effective_clusters(data.contributions()) < _FEW and bool(np.any(excess))
    found = _finding(base, cand, (harm, dear, cheap), units, max_ratio, alpha, how)
    return replace(found, warnings=("a few requests carry the difference in cost",)) if lumpy else found


def _gather(values: Floats, labels: Ints) -> Clustered:
    return gather(values, labels, np.zeros(values.size, dtype=np.int64), np.ones(1))


def _require_forgetful(excess: Floats) -> None:
    """Raise ValueError where the mean of a stretch tells that of the next."""
    labels = _labels(excess)
    means = np.bincount(labels, excess) / np.bincount(labels)
    means -= means.mean()
    if means[1:] @ means[:-1] > ALIKE * (means @ means):
        raise ValueError(
            f"one arm was slow or fast for longer than a {STRETCHES}th of the run, so that its costs are those of the "
            "hour: ask more cases, or run again at a steadier time"
        )


def _labels(excess: Floats) -> Ints:
    """Which stretch each pair belongs to."""
    return np.arange(excess.size) * STRETCHES // excess.size


def _stretched(excess: Floats) -> Fits:
    """As it is, and with one dear or one cheap request more: a single one, not a stretch."""
    labels = _labels(excess)
    dear, cheap = (_gather(np.append(excess, end), np.append(labels, STRETCHES)) for end in (1.0, -1.0))
    return fit_mean(_gather(excess, labels)), fit_mean(dear), fit_mean(cheap)


def _reach(fits: Fits, alpha: float) -> float:
    """From the mean to its bound."""
    return fits[0].bound(1 - alpha) - fits[0].mean if fits[0].error > 0 else 0.0


def _relative(values: Floats) -> Floats:
    """Values over their mean; 0 where all are 0."""
    mean = float(values.mean())
    return values / mean if mean > 0 else np.zeros(values.size)


def _require(base: Floats, cand: Floats, max_ratio: float, alpha: float) -> None:
    """Raise ValueError where costs, margin or ratio are not usable."""
    require_alpha(alpha)
    if max_ratio <= 1:
        raise ValueError(f"'max_ratio' must be > 1 (got {max_ratio})")
    if min(base.min(), cand.min()) < 0:
        raise ValueError("costs must be 0 or more")
    if base.mean() == 0:
        raise ValueError("the baseline costs nothing: a ratio to it is undefined")


def _finding(
    base: Floats,
    cand: Floats,
    fits: Fits,
    units: int,
    max_ratio: float,
    alpha: float,
    how: str,
) -> Finding:
    """Both tests of the log ratio.

    `fits` carry the errors for harm, the margin and the low end, and in their
    means what has been added to the log ratio.
    """
    ratio = float(cand.mean()) / float(base.mean())
    if not np.isfinite(ratio):
        raise ValueError(f"the ratio of mean costs {cand.mean():g} and {base.mean():g} is beyond every number")
    log_ratio = float(np.log(ratio)) if ratio > 0 else -np.inf
    harm, dear, cheap = (replace(fit, mean=log_ratio + fit.mean) for fit in fits)
    return Finding(
        estimate=Estimate(
            center=ratio,
            low=exp_or_inf(cheap.bound(alpha)),
            high=exp_or_inf(dear.bound(1 - alpha)),
            confidence=1 - 2 * alpha,
            n=units,
            method=how,
        ),
        harm=Test(p=harm.upper_tail(0.0), n=units, method=how),
        noninferior=Test(p=dear.lower_tail(float(np.log(max_ratio))), n=units, method=how),
        can_reject=base.size != cand.size or bool(np.any(base != cand)),
        baseline=float(base.mean()),
        candidate=float(cand.mean()),
        margin=max_ratio,
        method=f"ratio of means: {how} (harm and margin)",
    )
