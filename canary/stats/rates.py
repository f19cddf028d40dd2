"""Event rates of two independent streams; higher is worse.

An event is an error, a slow request, a rejection. Paired events are pass/fail
pairs and belong in `paired`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Floats, Ints, require_alpha, require_margin

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


def stratified_score(
    x_base: ArrayLike, n_base: ArrayLike, x_cand: ArrayLike, n_cand: ArrayLike, null: ArrayLike
) -> Floats:
    """`score_statistic` over phases of traffic, summed along the last axis.

    Sum of w (d - null) over the root of the sum of w^2 variance, w = n_b n_c /
    (n_b + n_c) (Miettinen & Nurminen 1985, section 6, with the weights of
    Mantel and Haenszel). Within a phase both arms saw the same traffic, so a
    share that ramps while the base rate drifts does not look like a
    difference. One phase gives `score_statistic`; one without an arm weighs 0.
    """
    arrays = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x_base, n_base, x_cand, n_cand, null)))
    x_b, n_b, x_c, n_c, d0 = arrays
    total = np.maximum(n_b + n_c, 1)
    weight = n_b * n_c / total
    used_b, used_c = np.maximum(n_b, 1), np.maximum(n_c, 1)
    base, cand = restricted_rates(x_b, used_b, x_c, used_c, d0)
    variance = (base * (1 - base) / used_b + cand * (1 - cand) / used_c) * total / np.maximum(total - 1, 1)
    distance = np.sum(weight * (x_c / used_c - x_b / used_b - d0), axis=-1)
    error = np.sqrt(np.maximum(np.sum(weight**2 * variance, axis=-1), 0))
    fallback = np.where(np.abs(distance) > 1e-12 * np.sum(weight, axis=-1), np.copysign(np.inf, distance), 0.0)
    return np.asarray(np.divide(distance, error, out=fallback, where=error > 1e-150))


def score_statistic(
    x_base: ArrayLike, n_base: ArrayLike, x_cand: ArrayLike, n_cand: ArrayLike, null: ArrayLike
) -> Floats:
    """Miettinen and Nurminen's z of `rate_cand - rate_base = null`, elementwise.

    With their N/(N-1) factor; `null` in (-1, 1). 0 variance gives a signed
    infinity, or 0 where the difference is `null` itself.
    """
    return stratified_score(
        *(np.asarray(a, dtype=np.float64)[..., None] for a in (x_base, n_base, x_cand, n_cand, null))
    )


def score_interval(
    x_base: ArrayLike, n_base: ArrayLike, x_cand: ArrayLike, n_cand: ArrayLike, confidence: float
) -> Estimate:
    """Miettinen-Nurminen interval of `rate_cand - rate_base`, in [-1, 1].

    Counts of one table, or of one phase of traffic each (K,); the estimate is
    then the difference weighted as in `stratified_score`.
    """
    x_b, n_b, x_c, n_c = (np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (x_base, n_base, x_cand, n_cand))
    z = float(special.ndtri(0.5 + confidence / 2))
    level = np.array([z, -z])
    left, right = np.full(2, -1.0), np.full(2, 1.0)
    for _ in range(60):  # halvings: exact to the last bit
        middle = (left + right) / 2
        above = stratified_score(x_b, n_b, x_c, n_c, middle[:, None]) > level
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    low, high = (left + right) / 2
    rate_base, rate_cand = weighed_rates(x_b, n_b, x_c, n_c)
    return Estimate(
        center=rate_cand - rate_base,
        low=float(low),
        high=float(high),
        confidence=confidence,
        n=int(min(n_b.sum(), n_c.sum())),
        method="Miettinen-Nurminen score interval",
    )


def weighed_rates(x_base: ArrayLike, n_base: ArrayLike, x_cand: ArrayLike, n_cand: ArrayLike) -> tuple[float, float]:
    """Both arms' rates over the same mix of phases (K,), weighted n_b n_c/(n_b + n_c)."""
    x_b, n_b, x_c, n_c = (np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (x_base, n_base, x_cand, n_cand))
    weight = n_b * n_c / np.maximum(n_b + n_c, 1)
    share = weight / weight.sum()
    return float(np.sum(share * x_b / np.maximum(n_b, 1))), float(np.sum(share * x_c / np.maximum(n_c, 1)))


def phased_p(x_base: ArrayLike, n_base: ArrayLike, x_cand: ArrayLike, n_cand: ArrayLike) -> float:
    """`conditional_p` over phases of traffic (K,), which may differ in rate and in split.

    Given the events of every phase, the candidate's are a sum of Bin(x_b +
    x_c, n_c/(n_b + n_c)); its exact upper tail, by convolution.
    """
    x_b, n_b, x_c, n_c = (np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (x_base, n_base, x_cand, n_cand))
    used = x_b + x_c > 0
    if used.sum() <= 1:
        return float(np.min(conditional_p(x_b[used], n_b[used], x_c[used], n_c[used]), initial=1.0))
    mass = np.ones(1)
    for total, share in zip((x_b + x_c)[used], (n_c / (n_b + n_c))[used], strict=True):
        k = np.arange(total + 1)
        log = special.gammaln(total + 1) - special.gammaln(k + 1) - special.gammaln(total - k + 1)
        own = np.exp(log + special.xlogy(k, share) + special.xlog1py(total - k, -share))
        size = mass.size + own.size - 1
        mass = np.fft.irfft(np.fft.rfft(mass, size) * np.fft.rfft(own, size), size)
    return float(np.clip(np.sum(mass[int(x_c.sum()) :]), 1e-13, 1.0))  # what a sum of rounded masses can tell


def compare_event_rates(
    x_base: ArrayLike, n_base: ArrayLike, x_cand: ArrayLike, n_cand: ArrayLike, *, margin: float, alpha: float
) -> Finding:
    """Compare rates of events among `n` units of two independent arms.

    Counts of one table, or of K phases of traffic (K,), each seen by both
    arms. The effect is rate_cand - rate_base; inside the margin if
    significantly below `margin` (in (0, 1)). Raises ValueError for impossible
    counts.
    """
    require_alpha(alpha)
    require_margin(margin, below=1)
    x_b, n_b, x_c, n_c = (np.atleast_1d(np.asarray(a, dtype=np.int64)) for a in (x_base, n_base, x_cand, n_cand))
    _require_counts(x_b, n_b, x_c, n_c)
    n = int(min(n_b.sum(), n_c.sum()))
    rate_base, rate_cand = weighed_rates(x_b, n_b, x_c, n_c)
    score = stratified_score(x_b, n_b, x_c, n_c, margin)
    phases = f", {n_b.size} phases" if n_b.size > 1 else ""
    return Finding(
        estimate=score_interval(x_b, n_b, x_c, n_c, 1 - 2 * alpha),
        harm=Test(p=phased_p(x_b, n_b, x_c, n_c), n=n, method="conditional binomial"),
        noninferior=Test(p=float(special.ndtr(score)), n=n, method="Miettinen-Nurminen score"),
        can_reject=bool(np.sum(x_b + x_c) > 0),
        baseline=rate_base,
        candidate=rate_cand,
        margin=margin,
        method=f"conditional binomial (harm) and Miettinen-Nurminen score (margin): unpaired events{phases}",
        units=(int(n_b.sum()), int(n_c.sum())),
    )


def _require_counts(x_base: Ints, n_base: Ints, x_cand: Ints, n_cand: Ints) -> None:
    """Raise ValueError unless 0 <= x <= n and n >= 1 in both arms of every phase."""
    inside = (x_base >= 0) & (x_base <= n_base) & (x_cand >= 0) & (x_cand <= n_cand)
    if not np.all(inside & (np.minimum(n_base, n_cand) >= 1)):
        raise ValueError(
            f"events must lie in 0..n, n >= 1 (got {x_base.sum()}/{n_base.sum()} and {x_cand.sum()}/{n_cand.sum()})"
        )
