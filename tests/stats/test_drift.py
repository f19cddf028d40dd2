"""Drift explains; its null is kept."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from canary.stats.drift import (
    compare_perplexity,
    count_below,
    similarity_threshold,
    swap_test,
)
from canary.stats.vector import Floats


def definition(x: Floats, y: Floats) -> float:
    """The energy distance as its authors write it, from scipy's distances."""
    return float(2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean())


def test_energy_distance_is_its_definition() -> None:
    """The value is the double sum over scipy's distances, and scipy's own where there is one dimension."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 5)), rng.normal(0.5, 1, size=(20, 5))
    assert swap_test(x, y, seed=0).distance == pytest.approx(definition(x, y))
    assert swap_test(x, x, seed=0).distance == pytest.approx(0, abs=1e-12)
    one = swap_test(x[:, 0], y[:, 0], seed=0).distance
    assert one == pytest.approx(stats.energy_distance(x[:, 0], y[:, 0]) ** 2)


def test_swaps_are_the_quadratic_form() -> None:
    """A swap in the quadratic form is a swap of rows."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), rng.normal(0.3, 1, size=(30, 4))
    swapped = np.arange(30) % 3 == 0
    one, other = np.where(swapped[:, None], y, x), np.where(swapped[:, None], x, y)
    signs = np.where(swapped, -1.0, 1.0)
    form = cdist(x, y) + cdist(y, x) - cdist(x, x) - cdist(y, y)
    assert signs @ form @ signs / 900 == pytest.approx(definition(one, other))


def test_equal_embeddings_do_not_drift() -> None:
    """Identical rows have distance 0 and p 1; shifted ones have the smallest p."""
    x = np.random.default_rng(0).normal(size=(100, 16))
    assert swap_test(x, x, seed=0).test.p == 1
    assert swap_test(x, x + 0.2, seed=0).test.p == 1 / 2_000


def test_many_pairs_are_sampled_and_said() -> None:
    """Beyond 1,500 pairs the test names its sample; the seed fixes it."""
    x = np.random.default_rng(0).normal(size=(1_600, 3))
    found = swap_test(x, x + 0.1, seed=0)
    assert found.test.warnings == ("tested on 1500 of 1600 pairs",)
    assert found == swap_test(x, x + 0.1, seed=0)
    with pytest.raises(ValueError, match="share a shape"):
        swap_test(x, x[:5], seed=0)
    with pytest.raises(ValueError, match="finite rows"):
        swap_test([[np.nan]], [[0.0]], seed=0)


def test_threshold_is_an_order_statistic() -> None:
    """19 similarities serve 5 %, 99 serve 1 %, and one fewer is refused."""
    assert similarity_threshold(np.arange(19) / 19, alpha=0.05) == 0
    assert similarity_threshold(np.arange(99) / 99, alpha=0.01) == 0
    for n, alpha in ((18, 0.05), (98, 0.01)):
        with pytest.raises(ValueError, match=f"need >= {n + 1}"):
            similarity_threshold(np.arange(n), alpha=alpha)


def test_answers_below_the_threshold_are_counted() -> None:
    """The p-value is scipy's binomial one, 1 where nothing is below."""
    values = np.repeat([0.1, 0.9], [9, 91])
    estimate, test = count_below(values, 0.5, alpha=0.05)
    assert test.p == pytest.approx(stats.binomtest(9, 100, 0.05, alternative="greater").pvalue)
    assert estimate.center == 0.09
    assert count_below(values, 0.0, alpha=0.05)[1].p == 1
    assert count_below(values, 1.0, alpha=0.05)[0].high == 1


def test_perplexity_is_compared_as_a_ratio() -> None:
    """The ratio is exp of the mean difference, and inside means the upper end is."""
    rng = np.random.default_rng(0)
    base = rng.normal(1.5, 0.4, 200)
    for shift in (0.0, 0.03, 0.3):
        found = compare_perplexity(
            base, base + shift + rng.normal(0, 0.05, 200), np.arange(200), max_ratio=1.1, alpha=0.05, seed=0
        )
        assert found.estimate.center == pytest.approx(found.candidate / found.baseline)
        assert (found.noninferior.p < 0.05) is (found.estimate.high < 1.1)
        assert (found.harm.p < 0.05) is (shift > 0)
    with pytest.raises(ValueError, match="max_ratio"):
        compare_perplexity(base, base, np.arange(200), max_ratio=0.9, alpha=0.05, seed=0)


def test_perplexity_without_variance_is_open() -> None:
    """Equal values bound nothing."""
    found = compare_perplexity([1.0] * 5, [1.0] * 5, np.arange(5), max_ratio=1.1, alpha=0.05, seed=0)
    assert (found.estimate.low, found.estimate.high, found.noninferior.p) == (0, np.inf, 1)


@pytest.mark.slow
def test_resampled_answers_rarely_count_as_drift() -> None:
    """Two answers to each prompt from one model: at most 5 % of 2,000 runs alarm."""
    rng = np.random.default_rng(0)
    p = []
    for run in range(2_000):
        prompt = rng.normal(size=(40, 8))
        p.append(swap_test(prompt + rng.normal(size=(40, 8)), prompt + rng.normal(size=(40, 8)), seed=run).test.p)
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2_000)


@pytest.mark.slow
@pytest.mark.parametrize("n", [19, 99, 150])
def test_conformal_threshold_keeps_its_level(n: int) -> None:
    """A new A/A similarity falls below the threshold at most at 5 %, over 20,000 runs."""
    rng = np.random.default_rng(n)
    new = rng.beta(8, 2, 20_000)
    ordered = np.sort(rng.beta(8, 2, (20_000, n)), axis=1)
    rank = int(np.floor(0.05 * (n + 1) + 1e-9))
    assert similarity_threshold(ordered[0], alpha=0.05) == ordered[0, rank - 1]
    assert np.mean(new < ordered[:, rank - 1]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 20_000)
