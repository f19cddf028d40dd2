"""BCa intervals for reports."""

import numpy as np
import pytest
from scipy import stats

from canary.stats.bca import bca_ratio


def test_agrees_with_scipy() -> None:
    """The interval of a ratio of sums is scipy's paired BCa, within resampling noise."""
    rng = np.random.default_rng(0)
    top, bottom = rng.lognormal(size=(2, 120))
    ours = bca_ratio(top, bottom, np.arange(120), confidence=0.9, seed=1)
    theirs = stats.bootstrap(
        (top, bottom),
        lambda a, b, axis: np.sum(a, axis=axis) / np.sum(b, axis=axis),
        paired=True,
        n_resamples=4_000,
        confidence_level=0.9,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.03)


def test_clusters_are_drawn_whole() -> None:
    """Copying every value inside its cluster leaves the interval as it was."""
    values = np.random.default_rng(0).normal(size=50)
    one = bca_ratio(values, np.ones(50), np.arange(50), confidence=0.9, seed=0)
    three = bca_ratio(np.repeat(values, 3), np.ones(150), np.repeat(np.arange(50), 3), confidence=0.9, seed=0)
    assert (three.low, three.high) == pytest.approx((one.low, one.high))


def test_ends_are_defined() -> None:
    """One cluster bounds nothing, equal values bound to a point, nothing to divide by is an error."""
    one = bca_ratio([1.0, 2.0], [1.0, 1.0], [0, 0], confidence=0.9, seed=0)
    assert (one.center, one.low, one.high) == (1.5, -np.inf, np.inf)
    same = bca_ratio([2.0] * 9, [1.0] * 9, np.arange(9), confidence=0.9, seed=0)
    assert (same.low, same.high) == (2, 2)
    with pytest.raises(ValueError, match="denominator"):
        bca_ratio([1.0], [0.0], [0], confidence=0.9, seed=0)


@pytest.mark.slow
def test_coverage_on_skewed_means() -> None:
    """Over 2,000 skewed samples of 60 the 90 % interval covers at least .86."""
    rng = np.random.default_rng(0)
    covered = []
    for run in range(2_000):
        found = bca_ratio(rng.lognormal(0, 0.6, 60), np.ones(60), np.arange(60), confidence=0.9, seed=run)
        covered.append(found.low <= np.exp(0.18) <= found.high)
    assert np.mean(covered) >= 0.86
