"""One arm against an absolute objective; higher is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.cluster import fit_mean, gather
from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Floats, Ints, as_floats, as_labels, require_alpha, require_bounded

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from canary.stats.strata import Kind


def check_floor(values: ArrayLike, clusters: ArrayLike, *, floor: float, alpha: float, kind: Kind) -> Finding:
    """Test whether the mean of `values` (n,) reaches `floor`.

    The effect is mean minus floor and the margin 0: harm is significantly
    below the floor, non-inferior significantly at or above it. Binary values,
    each its own cluster: exact binomial and its Clopper-Pearson interval.
    Else: cluster-robust t, with one cluster at 0 added before a bounded mean
    may pass and one at 1 before it may fail. `baseline` of the finding is the
    floor. Raises ValueError for values outside the kind's range.
    """
    data = as_floats("values", values)
    labels = as_labels("clusters", clusters, data.size)
    require_alpha(alpha)
    if kind != "unbounded":
        require_bounded("values", data)
        require_bounded("floor", np.array([floor]))
    if kind == "binary" and int(labels.max()) + 1 == data.size and np.all(np.isin(data, (0, 1))):
        return _exact(data, floor, alpha)
    return _robust(data, labels, floor, alpha, bounded=kind != "unbounded")


def _exact(data: Floats, floor: float, alpha: float) -> Finding:
    """Binomial tests of a pass rate (Clopper & Pearson 1934)."""
    n, passed = data.size, int(data.sum())
    low = float(special.betaincinv(passed, n - passed + 1, alpha)) if passed > 0 else 0.0
    high = float(special.betaincinv(passed + 1, n - passed, 1 - alpha)) if passed < n else 1.0
    at_least = float(special.bdtrc(passed - 1, n, floor)) if passed > 0 else 1.0
    return Finding(
        estimate=Estimate(
            center=passed / n - floor,
            low=low - floor,
            high=high - floor,
            confidence=1 - 2 * alpha,
            n=n,
            method="Clopper-Pearson interval",
        ),
        harm=Test(p=float(special.bdtr(passed, n, floor)), n=n, method="exact binomial"),
        noninferior=Test(p=at_least, n=n, method="exact binomial"),
        can_reject=passed < n,
        baseline=floor,
        candidate=passed / n,
        margin=0.0,
        method="exact binomial: pass/fail against an absolute floor",
    )


def _robust(data: Floats, labels: Ints, floor: float, alpha: float, *, bounded: bool) -> Finding:
    """Cluster-robust t tests of a mean, extremes added where they are known."""
    plain = gather(data, labels, np.zeros(data.size, dtype=np.int64), np.ones(1))
    low = fit_mean(plain.with_extreme(0.0) if bounded else plain)
    high = fit_mean(plain.with_extreme(1.0) if bounded else plain)
    n, ends = int(labels.max()) + 1, (0.0, 1.0) if bounded else (-np.inf, np.inf)
    center = fit_mean(plain).mean
    return Finding(
        estimate=Estimate(
            center=center - floor,
            low=max(low.bound(alpha), ends[0]) - floor,
            high=min(high.bound(1 - alpha), ends[1]) - floor,
            confidence=1 - 2 * alpha,
            n=n,
            method="cluster-robust t",
        ),
        harm=Test(p=high.lower_tail(floor), n=n, method="cluster-robust t"),
        noninferior=Test(p=low.upper_tail(floor), n=n, method="cluster-robust t"),
        can_reject=bool(np.any(data < floor)),
        baseline=floor,
        candidate=center,
        margin=0.0,
        method="cluster-robust t: mean against an absolute floor",
        warnings=() if low.error > 0 else ("no variance: nothing can be said about the floor",),
    )
