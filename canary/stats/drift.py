"""Whether answers moved, wherever to: it explains, it does not decide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.paired import compare_scores
from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Floats, as_floats, as_pairs, require_alpha

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_MOST = 1_500
_SWAPS = 1_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Energy distance between the arms, and how surprising it is."""

    distance: float
    test: Test
    """Null: swapping the arms of any pair changes nothing."""


def _distances(first: Floats, second: Floats) -> Floats:
    """Euclidean distances between rows, shape (n, m)."""
    squares = np.sum(first**2, axis=1)[:, None] + np.sum(second**2, axis=1)[None, :]
    gaps = squares - 2 * first @ second.T
    gaps[gaps < 1e-12 * squares] = 0  # equal rows, up to rounding
    return np.asarray(np.sqrt(gaps))


def _rows(name: str, values: ArrayLike) -> Floats:
    """Finite rows of shape (n, d), n >= 1; (n,) is taken for (n, 1)."""
    rows = np.asarray(values, dtype=np.float64)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or rows.size == 0 or not np.all(np.isfinite(rows)):
        raise ValueError(f"'{name}' must be finite rows of shape (n, d), n >= 1")
    return rows


def swap_test(baseline: ArrayLike, candidate: ArrayLike, *, seed: int) -> Drift:
    """Energy distance between paired rows (n, d), tested by swaps within pairs.

    The distance is 2 E|X - Y| - E|X - X'| - E|Y - Y'|, at least 0 (Szekely & Rizzo 2013).

    With s_i = -1 for a swapped pair, n^2 E is the quadratic form s' M s of M =
    |x_i - y_j| + |x_j - y_i| - |x_i - x_j| - |y_i - y_j|, so all 1,999 random
    swaps are one matrix product; p = (1 + hits)/(1 + swaps). Beyond 1,500
    pairs a seeded sample of them is used, and the test says so.
    """
    x, y = _rows("baseline", baseline), _rows("candidate", candidate)
    if x.shape != y.shape:
        raise ValueError(f"paired rows must share a shape (got {x.shape} and {y.shape})")
    rng, total = np.random.default_rng(seed), x.shape[0]
    notes = (f"tested on {_MOST} of {total} pairs",) if total > _MOST else ()
    if total > _MOST:
        kept = np.sort(rng.choice(total, _MOST, replace=False))
        x, y = x[kept], y[kept]
    cross = _distances(x, y)
    form = cross + cross.T - _distances(x, x) - _distances(y, y)
    n = x.shape[0]
    signs = rng.integers(0, 2, size=(_SWAPS, n)) * 2.0 - 1
    swapped = np.einsum("ij,ij->i", signs @ form, signs)
    observed = float(form.sum())
    hits = int(np.sum(swapped >= observed - 1e-12 * float(cross.sum())))
    test = Test(p=(1 + hits) / (1 + _SWAPS), n=n, method="energy distance, swaps within pairs", warnings=notes)
    return Drift(distance=observed / n**2, test=test)


def compare_perplexity(
    baseline: ArrayLike, candidate: ArrayLike, clusters: ArrayLike, *, max_ratio: float, alpha: float, seed: int
) -> Finding:
    """Compare perplexity from mean negative log-probabilities per answer.

    Arrays (n,) in nats per token, each prompt once; the effect is the ratio
    of geometric means, exp of the mean difference; up is harm. Tests:
    `compare_scores` on the unbounded scale.
    """
    if max_ratio <= 1:
        raise ValueError(f"'max_ratio' must be > 1 (got {max_ratio})")
    base, cand = as_pairs(baseline, candidate)
    margin = float(np.log(max_ratio))
    plain = compare_scores(-base, -cand, clusters, margin=margin, alpha=alpha, bounded=False, seed=seed)
    low, high = (float(np.exp(-min(max(end, -700), 700))) for end in (plain.estimate.high, plain.estimate.low))
    return replace(
        plain,
        estimate=replace(
            plain.estimate,
            center=float(np.exp(-plain.estimate.center)),
            low=low if np.isfinite(plain.estimate.high) else 0.0,
            high=high if np.isfinite(plain.estimate.low) else np.inf,
        ),
        baseline=float(np.exp(base.mean())),
        candidate=float(np.exp(cand.mean())),
        margin=max_ratio,
        method=f"{plain.method}, on log-perplexity",
    )


def similarity_threshold(similarities: ArrayLike, *, alpha: float) -> float:
    """The floor(alpha (n + 1))-th smallest similarity of baseline to itself.

    An unchanged answer falls below it with chance at most alpha (split
    conformal: Vovk 2005). Raises ValueError for fewer than 1/alpha - 1 values
    (19 at 5 %, 99 at 1 %).
    """
    require_alpha(alpha)
    values = np.sort(as_floats("similarities", similarities))
    rank = int(np.floor(alpha * (values.size + 1) + 1e-9))
    if rank < 1:
        raise ValueError(f"need >= {int(np.ceil(1 / alpha - 1e-9)) - 1} similarities, have {values.size}")
    return float(values[rank - 1])


def count_below(similarities: ArrayLike, threshold: float, *, alpha: float) -> tuple[Estimate, Test]:
    """Test whether more answers than the share `alpha` fall below the threshold.

    Share below, with its Clopper-Pearson 90 % interval, and the one-sided
    binomial test of Bin(n, alpha).
    """
    values = as_floats("similarities", similarities)
    n, below = values.size, int(np.sum(values < threshold))
    low = float(special.betaincinv(below, n - below + 1, 0.05)) if below else 0.0
    high = float(special.betaincinv(below + 1, n - below, 0.95)) if below < n else 1.0
    p = float(special.bdtrc(below - 1, n, alpha)) if below else 1.0
    estimate = Estimate(center=below / n, low=low, high=high, confidence=0.9, n=n, method="Clopper-Pearson interval")
    return estimate, Test(p=p, n=n, method="binomial, conformal threshold")
