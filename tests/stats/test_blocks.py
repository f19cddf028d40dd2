"""Time blocks and weighted replicates."""

import numpy as np
import pytest
from scipy import stats

from canary.stats.blocks import (
    MOST,
    choose_blocks,
    draw_weights,
    merge_neighbours,
    quantiles,
    tabulate,
    trimmed_mean,
    trimmed_means,
)
from canary.stats.vector import Floats


def autoregressive(n: int, phi: float, seed: int = 0) -> Floats:
    """A stationary AR(1) series of unit variance."""
    shocks = np.random.default_rng(seed).normal(size=n) * np.sqrt(1 - phi**2)
    series = np.empty(n)
    series[0] = shocks[0] / np.sqrt(1 - phi**2)
    for i in range(1, n):  # a recursion has no vectorised form in numpy
        series[i] = phi * series[i - 1] + shocks[i]
    return series


def test_no_correlation_needs_no_blocks() -> None:
    """White noise and a constant are resampled value by value."""
    assert np.array_equal(choose_blocks(np.random.default_rng(0).normal(size=500)), np.arange(500))
    assert np.array_equal(choose_blocks(np.zeros(500)), np.arange(500))


def test_blocks_grow_with_correlation() -> None:
    """Longer memory gives longer blocks, and never fewer than 20."""
    lengths = [np.bincount(choose_blocks(autoregressive(2_000, phi)))[0] for phi in (0.5, 0.8, 0.95, 0.999)]
    assert lengths == sorted(lengths)
    assert 5 < lengths[0] < lengths[2]
    assert choose_blocks(autoregressive(2_000, 0.999)).max() + 1 >= 20


@pytest.mark.parametrize("n", [1, 2, 7, 19, 39, 41])
def test_blocks_of_short_series(n: int) -> None:
    """Too short to measure: every value its own block, in order."""
    blocks = choose_blocks(np.arange(float(n)))
    assert blocks.shape == (n,)
    assert np.all(np.diff(blocks) >= 0)
    assert blocks.max() + 1 >= min(n, 20)


def test_heavy_tails_do_not_hide_correlation() -> None:
    """A few huge values leave the measured block length as it was."""
    series = autoregressive(2_000, 0.8)
    spiked = series.copy()
    spiked[::400] = 1e6
    one, other = (np.bincount(choose_blocks(s))[0] for s in (series, spiked))
    assert abs(int(one) - int(other)) <= 5


@pytest.mark.parametrize("trim", [0.0, 0.01, 0.05, 0.25])
@pytest.mark.parametrize("n", [1, 7, 100, 299, 1_000])
def test_trimmed_mean_is_scipys(trim: float, n: int) -> None:
    """TM drops floor(trim * n) of the highest, as scipy.stats.trim1 does."""
    values = np.random.default_rng(n).lognormal(size=n)
    assert trimmed_mean(values, trim) == pytest.approx(stats.trim1(values, trim, tail="right").mean())


@pytest.mark.parametrize("n", [40, 250, 3_000])
def test_replicates_are_those_of_the_repeated_sample(n: int) -> None:
    """A replicate equals the statistic of the sample with its values repeated."""
    rng = np.random.default_rng(n)
    values, blocks = rng.lognormal(size=n), np.arange(n) * 25 // n
    weights = draw_weights(25, rng)[:50]
    expected_mean, expected_quantile = [], []
    for row in weights.astype(int):
        repeated = np.repeat(values, row[blocks])
        expected_mean.append(trimmed_mean(repeated, 0.05))
        expected_quantile.append(np.quantile(repeated, 0.95, method="inverted_cdf"))
    table = tabulate(values, blocks, 25, around=0.95)
    tolerance = 1e-9 if n <= 256 else 2e-3  # beyond, values share bins near the rank that decides
    assert trimmed_means(weights, table, 0.05) == pytest.approx(expected_mean, rel=tolerance)
    assert quantiles(weights, table, 0.95) == pytest.approx(expected_quantile, rel=max(tolerance, 1e-9) * 10)


def test_a_replicate_without_the_arm_falls_back_on_the_whole() -> None:
    """Blocks that hold none of an arm's values cannot make a replicate of it."""
    table = tabulate(np.array([1.0, 3.0]), np.array([0, 0]), 2, around=0.5)
    assert trimmed_means(np.array([[0.0, 2.0], [2.0, 0.0]]), table, 0.0).tolist() == [2, 2]


def test_many_blocks_are_merged_with_neighbours() -> None:
    """More blocks than 400 become 400 of equal width, in order."""
    codes, count = merge_neighbours(np.arange(1_000) + 7)
    assert count == MOST
    assert np.all(np.diff(codes) >= 0)
    assert np.bincount(codes).min() >= 2


def test_weights_draw_as_many_blocks_as_there_are() -> None:
    """Each replicate's weights sum to the number of blocks."""
    assert set(draw_weights(30, np.random.default_rng(0)).sum(axis=1)) == {30.0}
