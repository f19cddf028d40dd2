"""What the baseline does to itself."""

import numpy as np
import pytest
from statsmodels.tsa.stattools import acf

from canary.stats.noise import (
    autocorrelation,
    block_length,
    discordance,
    lag_one,
    noise_margin,
    split_variance,
    too_quiet,
)
from canary.stats.power import tango_power


def test_discordance_per_stratum() -> None:
    """The share of changed results, stratum by stratum, an empty one at 0."""
    found = discordance([1, 1, 0, 0, 1], [1, 0, 0, 1, 1], [0, 0, 0, 2, 2])
    assert found == pytest.approx([1 / 3, 0, 1 / 2])


def test_variance_splits_into_its_parts() -> None:
    """Balanced repeats give the classical components."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, (400, 1)) + rng.normal(0, 0.5, (400, 4))
    found = split_variance(scores.ravel(), np.repeat(np.arange(400), 4))
    within = np.mean(np.var(scores, axis=1, ddof=1))
    assert found.within == pytest.approx(within)
    assert found.between == pytest.approx(np.var(scores.mean(axis=1), ddof=1) - within / 4)
    assert found.error(4) == pytest.approx(np.sqrt(np.var(scores.mean(axis=1), ddof=1) / 400))
    assert found.error(16) < found.error(4) < found.error(1)


def test_variance_of_degenerate_repeats() -> None:
    """Without repeats all is between; with one prompt all is within."""
    alone = split_variance([0.1, 0.5, 0.9], [0, 1, 2])
    assert (alone.within, alone.between) == pytest.approx((0, np.var([0.1, 0.5, 0.9], ddof=1)))
    same = split_variance([0.0, 1.0, 1.0], [0, 0, 0])
    assert (same.between, same.within) == pytest.approx((0, 1 / 3))
    equal = split_variance([0.0, 1.0, 0.0, 1.0], [0, 0, 1, 1])
    assert equal.between == 0  # never negative


def test_autocorrelation_is_statsmodels() -> None:
    """The biased estimate at every lag, and 0 for a constant."""
    series = np.cumsum(np.random.default_rng(0).normal(size=200))
    assert autocorrelation(series, 10) == pytest.approx(acf(series, nlags=10)[1:])
    assert autocorrelation(np.ones(5), 2).tolist() == [0, 0]
    with pytest.raises(ValueError, match="lags"):
        autocorrelation([1.0, 2.0], 2)


def test_block_length_is_one_without_memory() -> None:
    """Independent latencies are resampled one by one."""
    assert block_length(np.random.default_rng(0).normal(size=300)) == 1


def test_lag_one_of_short_series_is_nothing() -> None:
    """Two values have no memory to speak of; three have, within [-1, 1]."""
    assert lag_one([1.0, 2.0]) == 0
    assert lag_one([1.0, 2.0, 3.0]) == pytest.approx(autocorrelation([1.0, 2.0, 3.0], 1)[0])


def test_a_candidate_quieter_than_the_baseline_stands_out() -> None:
    """2 changed pairs of 200 where the baseline changes 40 with itself is suspicious; 38 is not."""
    assert too_quiet(2, 200, 40, 200) < 1e-6
    assert too_quiet(38, 200, 40, 200) > 0.3


@pytest.mark.parametrize("power", [0.5, 0.8])
def test_noise_margin_has_its_power(power: float) -> None:
    """An unchanged model passes the noise margin about as often as said."""
    margin = noise_margin(0.1, 400, 0.05, power)
    assert tango_power(400, 0.1, 0.0, margin, 0.05) == pytest.approx(power, abs=0.05)
