"""Intervals that hold at every moment at once: what live charts may show.

Never the basis of a verdict. Formulas follow Howard & Ramdas 2022 (Bernoulli
28:1704) and their implementation, confseq, whose tests are the oracle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.results import Estimate
from canary.stats.vector import Floats, as_floats, require_alpha

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_HALVINGS = 60


def log_mixture(share: ArrayLike, n: ArrayLike, null: ArrayLike, t_opt: float, alpha: float) -> Floats:
    """Log of the beta-binomial mixture martingale of a share, elementwise.

    Prior Beta(r/(1 - null), r/null), centred on `null` in (0, 1), with r such
    that it is tightest after `t_opt` observations. `share` in [0, 1] need not
    be a count over n.
    """
    size, q = np.asarray(n, dtype=np.float64), np.asarray(null, dtype=np.float64)
    hits = np.asarray(share, dtype=np.float64) * size
    reach = 2 * np.log(1 / alpha)
    r = q * (1 - q) * max(t_opt / (reach + np.log1p(reach)) - 1, 1e-3)
    prior = special.betaln(r / (1 - q), r / q)
    posterior = special.betaln(r / (1 - q) + hits, r / q + size - hits)
    return np.asarray(posterior - prior - special.xlogy(hits, q) - special.xlog1py(size - hits, -q))


def bernoulli_sequence(successes: int, n: int, *, alpha: float, t_opt: float) -> Estimate:
    """Confidence sequence of a rate after `n` trials, valid at every n.

    Two-sided coverage 1 - alpha, tightest near `t_opt` trials. The interval
    is where the mixture stays below 1/alpha.
    """
    require_alpha(alpha)
    share, level = successes / n, np.log(1 / alpha)
    outside = np.array([0.0, 1.0])
    inside = np.full(2, np.clip(share, 1e-12, 1 - 1e-12))
    edges = np.array([share == 0, share == 1])
    for _ in range(_HALVINGS):
        middle = np.clip((outside + inside) / 2, 1e-12, 1 - 1e-12)
        kept = log_mixture(share, n, middle, t_opt, alpha) < level
        outside, inside = np.where(kept, outside, middle), np.where(kept, middle, inside)
    low, high = np.where(edges, np.array([0.0, 1.0]), inside)
    return Estimate(
        center=share,
        low=float(low),
        high=float(high),
        confidence=1 - alpha,
        n=n,
        method="beta-binomial confidence sequence",
    )


def quantile_sequence(values: ArrayLike, q: float, *, alpha: float, t_opt: float) -> Estimate:
    """Confidence sequence of the q-quantile after n values, valid at every n.

    The ends are order statistics, infinite while n is too small.
    """
    require_alpha(alpha)
    ordered = np.sort(as_floats("values", values))
    n, level = ordered.size, float(np.log(1 / alpha))
    outside, inside = np.array([0.0, 1.0]), np.full(2, _lowest_share(n, q, t_opt, alpha))
    at_end = log_mixture(outside, n, q, t_opt, alpha) < level
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        kept = log_mixture(middle, n, q, t_opt, alpha) < level
        outside, inside = np.where(kept, outside, middle), np.where(kept, middle, inside)
    first, last = int(np.ceil(inside[0] * n)), int(np.floor(inside[1] * n)) + 1
    return Estimate(
        center=float(np.quantile(ordered, q)),
        low=-np.inf if at_end[0] or first < 1 else float(ordered[first - 1]),
        high=np.inf if at_end[1] or last > n else float(ordered[last - 1]),
        confidence=1 - alpha,
        n=n,
        method="beta-binomial quantile confidence sequence",
    )


def _lowest_share(n: int, q: float, t_opt: float, alpha: float) -> float:
    """The share below the quantile at which the convex mixture is lowest."""
    left, right = 0.0, 1.0
    for _ in range(2 * _HALVINGS):
        third = (right - left) / 3
        low, high = log_mixture(np.array([left + third, right - third]), n, q, t_opt, alpha)
        left, right = (left, right - third) if low < high else (left + third, right)
    return (left + right) / 2


def mean_sequence(values: ArrayLike, *, alpha: float, t_opt: float) -> Estimate:
    """Asymptotic confidence sequence of a mean (cost, scores), after n values.

    Half width sd sqrt(2 (n rho^2 + 1)/(n rho)^2 ln(sqrt(n rho^2 + 1)/alpha)),
    rho^2 = (-2 ln a + ln(1 - 2 ln a))/t_opt (Waudby-Smith et al. 2024, Ann
    Stat). Two-sided 1 - alpha, in the limit of many values.
    """
    require_alpha(alpha)
    data = as_floats("values", values)
    n = data.size
    half = float(np.std(data)) * asymptotic_width(n, alpha=alpha, t_opt=t_opt)
    center = float(data.mean())
    return Estimate(
        center=center,
        low=center - half if n > 1 else -np.inf,
        high=center + half if n > 1 else np.inf,
        confidence=1 - alpha,
        n=n,
        method="asymptotic confidence sequence",
    )


def asymptotic_width(n: int, *, alpha: float, t_opt: float) -> float:
    """Half width of `mean_sequence` in standard deviations."""
    rho = float(np.sqrt((-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / t_opt))
    inner = n * rho**2 + 1
    return float(np.sqrt(2 * inner / (n * rho) ** 2 * np.log(np.sqrt(inner) / alpha)))
