"""Event rates of two independent streams; higher is worse.

An event is an error, a slow request, a rejection. Paired events are pass/fail
pairs and belong in `paired`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Floats, require_alpha, require_margin

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def conditional_p(
    x_base: ArrayLike, n_base: ArrayLike, x_cand: ArrayLike, n_cand: ArrayLike, ratio: float = 1.0
) -> Floats:
    """P-values against `rate_cand <= ratio * rate_base`, elementwise.

    Given all events, the candidate's are Bin(x_base + x_cand, s) with s =
    n_cand r / (n_cand r + n_base) (Przyborowski & Wilenski 1940): exact, and
    1 where there is no event.
    """
    cand, total = np.asarray(x_cand, dtype=np.float64), np.asarray(x_base) + np.asarray(x_cand)
    exposure = np.asarray(n_cand, dtype=np.float64) * ratio
    share = exposure / (exposure + np.asarray(n_base))
    upper = special.betainc(np.maximum(cand, 1e-300), total - cand + 1, share)
    return np.asarray(np.where(cand > 0, upper, 1.0))


def restricted_rates(
    x_base: Floats, n_base: Floats, x_cand: Floats, n_cand: Floats, null: Floats
) -> tuple[Floats, Floats]:
    """Most likely rates (baseline, candidate) with difference `null`.

    Closed root of the cubic in the appendix of Miettinen & Nurminen 1985,
    Stat Med 4:213. statsmodels has another, wrong, answer (its issue 10269).
    """
    total, events = n_cand + n_base, x_cand + x_base
    third = (n_cand + 2 * n_base) * null - total - events
    second = (n_base * null - total - 2 * x_base) * null + events
    first = x_base * null * (1 - null)
    q = third**3 / (27 * total**3) - third * second / (6 * total**2) + first / (2 * total)
    radius = np.sqrt(np.maximum(third**2 / (9 * total**2) - second / (3 * total), 0))
    p = np.where(q >= 0, radius, -radius)
    cosine = np.divide(q, p**3, out=np.zeros_like(q), where=p != 0)
    angle = (np.pi + np.arccos(np.clip(cosine, -1, 1))) / 3
    base = np.clip(2 * p * np.cos(angle) - third / (3 * total), np.maximum(-null, 0), np.minimum(1 - null, 1))
    return np.asarray(base), np.asarray(base + null)


def score_statistic(
    x_base: ArrayLike, n_base: ArrayLike, x_cand: ArrayLike, n_cand: ArrayLike, null: ArrayLike
) -> Floats:
    """Miettinen and Nurminen's z of `rate_cand - rate_base = null`, elementwise.

    With their N/(N-1) factor; `null` in (-1, 1). 0 variance gives a signed
    infinity, or 0 where the difference is `null` itself.
    """
    arrays = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x_base, n_base, x_cand, n_cand, null)))
    x_b, n_b, x_c, n_c, d0 = arrays
    base, cand = restricted_rates(x_b, n_b, x_c, n_c, d0)
    total = n_b + n_c
    variance = (base * (1 - base) / n_b + cand * (1 - cand) / n_c) * total / np.maximum(total - 1, 1)
    distance = x_c / n_c - x_b / n_b - d0
    error = np.sqrt(np.maximum(variance, 0))
    fallback = np.where(np.abs(distance) > 1e-12, np.copysign(np.inf, distance), 0.0)
    return np.asarray(np.divide(distance, error, out=fallback, where=error > 1e-150))


def score_interval(x_base: int, n_base: int, x_cand: int, n_cand: int, confidence: float) -> Estimate:
    """Miettinen-Nurminen interval of `rate_cand - rate_base`, in [-1, 1]."""
    z = float(special.ndtri(0.5 + confidence / 2))
    level = np.array([z, -z])
    left, right = np.full(2, -1.0), np.full(2, 1.0)
    for _ in range(60):  # halvings: exact to the last bit
        middle = (left + right) / 2
        above = score_statistic(x_base, n_base, x_cand, n_cand, middle) > level
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    low, high = (left + right) / 2
    return Estimate(
        center=x_cand / n_cand - x_base / n_base,
        low=float(low),
        high=float(high),
        confidence=confidence,
        n=min(n_base, n_cand),
        method="Miettinen-Nurminen score interval",
    )


def compare_event_rates(x_base: int, n_base: int, x_cand: int, n_cand: int, *, margin: float, alpha: float) -> Finding:
    """Compare rates of events among `n` units of two independent arms.

    The effect is rate_cand - rate_base; inside the margin if significantly
    below `margin` (in (0, 1)). Raises ValueError for impossible counts.
    """
    require_alpha(alpha)
    require_margin(margin, below=1)
    _require_counts(x_base, n_base, x_cand, n_cand)
    n = min(n_base, n_cand)
    score = score_statistic(x_base, n_base, x_cand, n_cand, margin)
    return Finding(
        estimate=score_interval(x_base, n_base, x_cand, n_cand, 1 - 2 * alpha),
        harm=Test(p=float(conditional_p(x_base, n_base, x_cand, n_cand)), n=n, method="conditional binomial"),
        noninferior=Test(p=float(special.ndtr(score)), n=n, method="Miettinen-Nurminen score"),
        can_reject=x_base + x_cand > 0,
        baseline=x_base / n_base,
        candidate=x_cand / n_cand,
        margin=margin,
        method="conditional binomial (harm) and Miettinen-Nurminen score (margin): unpaired events",
    )


def compare_rare_events(
    x_base: int, n_base: int, x_cand: int, n_cand: int, *, max_ratio: float, alpha: float
) -> Finding:
    """Compare rates of rare events (baseline below 0.5 %) as a ratio.

    Both tests and the interval are the conditional binomial ones, exact for
    Poisson counts; the ends are Clopper-Pearson's on the candidate's share of
    events. No event at all: the interval is [0, inf] and p is 1.
    """
    require_alpha(alpha)
    require_margin(max_ratio)
    _require_counts(x_base, n_base, x_cand, n_cand)
    inside = float(conditional_p(x_cand, n_cand, x_base, n_base, 1 / max_ratio))
    low = float(special.betaincinv(x_cand, x_base + 1, alpha)) if x_cand > 0 else 0.0
    high = float(special.betaincinv(x_cand + 1, x_base, 1 - alpha)) if x_base > 0 else 1.0
    n, per = min(n_base, n_cand), n_base / n_cand
    return Finding(
        estimate=Estimate(
            center=x_cand / x_base * per if x_base > 0 else (np.inf if x_cand > 0 else 1.0),
            low=low / (1 - low) * per,
            high=high / (1 - high) * per if high < 1 else np.inf,
            confidence=1 - 2 * alpha,
            n=n,
            method="conditional binomial interval",
        ),
        harm=Test(p=float(conditional_p(x_base, n_base, x_cand, n_cand)), n=n, method="conditional binomial"),
        noninferior=Test(p=inside, n=n, method="conditional binomial"),
        can_reject=x_base + x_cand > 0,
        baseline=x_base / n_base,
        candidate=x_cand / n_cand,
        margin=max_ratio,
        method="conditional binomial (harm and margin): rare unpaired events",
    )


def _require_counts(x_base: int, n_base: int, x_cand: int, n_cand: int) -> None:
    """Raise ValueError unless 0 <= x <= n and n >= 1 in both arms."""
    if not (0 <= x_base <= n_base and 0 <= x_cand <= n_cand and min(n_base, n_cand) >= 1):
        raise ValueError(f"events must lie in 0..n, n >= 1 (got {x_base}/{n_base} and {x_cand}/{n_cand})")
