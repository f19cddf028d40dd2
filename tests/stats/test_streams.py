"""Two streams of traffic: overlap weights, ratios and means by routing key."""

import numpy as np
import pytest
from scipy import stats

from canary.stats.results import Finding
from canary.stats.streams import Units, compare_streams_mean, compare_streams_ratio, overlap_weights
from canary.stats.vector import Floats


def alone(values: Floats) -> Units:
    """One request a key, all of one weight."""
    return Units(np.asarray(values, dtype=float), np.ones(len(values)), np.full(len(values), 0.5))


def ratio(base: Floats, cand: Floats) -> Finding:
    """The ratio of mean costs."""
    return compare_streams_ratio(alone(base), alone(cand), max_ratio=1.1, alpha=0.05)


def mean(base: Floats, cand: Floats, margin: float = 0.03) -> Finding:
    """The difference of mean scores."""
    return compare_streams_mean(alone(base), alone(cand), reach=1.0, bounded=True, margin=margin, alpha=0.05)


def test_weights_are_the_other_arms_share_of_the_cell() -> None:
    """A cell of three and one weighs 1/4 and 3/4; a cell of one arm weighs nothing."""
    base, cand = overlap_weights([7, 7, 7, 9], [7, 8])
    assert base.tolist() == [0.25, 0.25, 0.25, 0]
    assert cand.tolist() == [0.75, 0]


def test_weighed_arms_have_the_same_mix() -> None:
    """The sum of weights in each cell is the same in both arms."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 5, 300), rng.integers(0, 5, 40)
    weights = overlap_weights(*cells)
    sums = [np.bincount(cell, weights=weight, minlength=5) for cell, weight in zip(cells, weights, strict=True)]
    assert sums[0] == pytest.approx(sums[1])


def test_ratio_error_is_that_of_two_samples() -> None:
    """Harm is ln R over the root of cv_c^2/n_c + cv_b^2/n_b, as t with Welch's df."""
    rng = np.random.default_rng(0)
    base, cand = rng.lognormal(0, 0.8, 200), rng.lognormal(0.1, 0.8, 90)
    parts = [stats.variation(arm, ddof=1) ** 2 / arm.size for arm in (base, cand)]
    df = sum(parts) ** 2 / (parts[0] ** 2 / 199 + parts[1] ** 2 / 89)
    t = np.log(cand.mean() / base.mean()) / np.sqrt(sum(parts))
    found = ratio(base, cand)
    assert found.estimate.center == pytest.approx(cand.mean() / base.mean())
    assert found.harm.p == pytest.approx(stats.t.sf(t, df))


def test_mean_error_is_welchs() -> None:
    """Harm is scipy's Welch test where every key is one request."""
    rng = np.random.default_rng(0)
    base, cand = rng.random(120), 0.95 * rng.random(70)
    expected = stats.ttest_ind(cand, base, equal_var=False, alternative="less").pvalue
    assert mean(base, cand).harm.p == pytest.approx(expected)


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.05, 1.3])
def test_interval_inverts_the_margin_test(factor: float) -> None:
    """Inside the margin is an end inside it, for ratios and for differences."""
    rng = np.random.default_rng(1)
    base, cand = rng.lognormal(0, 0.5, 400), factor * rng.lognormal(0, 0.5, 300)
    found = ratio(base, cand)
    assert (found.noninferior.p < 0.05) is (found.estimate.high < 1.1)
    scores = mean(np.clip(base / 5, 0, 1), np.clip(cand / 5, 0, 1))
    assert (scores.noninferior.p < 0.05) is (scores.estimate.low > -0.03)


def test_swapping_arms_mirrors_the_intervals() -> None:
    """Ratios become reciprocal, differences negative."""
    rng = np.random.default_rng(2)
    base, cand = rng.random(80), rng.random(50)
    one, other = ratio(base, cand).estimate, ratio(cand, base).estimate
    assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))
    one, other = mean(base, cand).estimate, mean(cand, base).estimate
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_copies_within_a_key_are_no_evidence() -> None:
    """Twenty requests of a session that cost the same are one observation."""
    rng = np.random.default_rng(3)
    base, cand = rng.random(60), rng.random(60)
    copied = [Units(20 * arm, np.full(60, 20.0), np.full(60, 0.5)) for arm in (base, cand)]
    found = compare_streams_ratio(*copied, max_ratio=1.1, alpha=0.05)
    assert found.harm.p == pytest.approx(ratio(base, cand).harm.p)


def test_equal_values_prove_a_margin_only_by_their_number() -> None:
    """Values that never vary show a margin only from enough keys on, and never harm."""
    few, many = (ratio(np.ones(n), np.ones(n)) for n in (10, 60))
    assert few.noninferior.p > 0.05 > many.noninferior.p
    assert few.harm.p == 0.5
    few, many = (mean(np.ones(n), np.ones(n)) for n in (30, 300))
    assert few.noninferior.p > 0.05 > many.noninferior.p
    assert not few.can_reject


def test_undefined_ratios_are_errors() -> None:
    """A free baseline, and arms that share no cell, are refused; a free candidate is inside."""
    with pytest.raises(ValueError, match="costs nothing"):
        ratio(np.zeros(9), np.ones(9))
    nothing = Units(np.ones(9), np.ones(9), np.zeros(9))
    with pytest.raises(ValueError, match="same traffic"):
        compare_streams_ratio(nothing, nothing, max_ratio=1.1, alpha=0.05)
    free = ratio(np.ones(9), np.zeros(9))
    assert (free.estimate.center, free.noninferior.p, free.harm.p) == (0, 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("n", [40, 200])
def test_error_rates_of_both(n: int) -> None:
    """False alarms and passes at the margin stay at 5 % for skewed costs and rare full losses, 2,000 runs."""
    runs, rng = 2_000, np.random.default_rng(n)
    hits = np.zeros((runs, 4))
    for run in range(runs):
        base, cand = rng.lognormal(0, 0.8, 4 * n), rng.lognormal(0, 0.8, n)
        good, bad = (rng.random(4 * n) > 0.02).astype(float), (rng.random(n) > 0.05).astype(float)
        hits[run] = (
            ratio(base, cand).harm.p <= 0.05,
            ratio(base, 1.1 * cand).noninferior.p < 0.05,
            mean(good, (rng.random(n) > 0.02).astype(float)).harm.p <= 0.05,
            mean(good, bad).noninferior.p < 0.05,
        )
    assert np.all(hits.mean(axis=0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)), hits.mean(axis=0)


def test_long_sessions_spend_no_more_than_alpha() -> None:
    """A few sessions with most requests draw a mean to themselves; unchanged and at the margin both promises hold."""
    rng, runs, alpha, found = np.random.default_rng(2), 600, 0.04, []
    for drop in (0.0, 0.05):
        arms = []
        for lost in (0.0, drop):
            sizes = np.minimum(np.ceil(rng.pareto(1.1, (runs, 150)) + 1e-9), 2_000)
            rates = np.where(rng.random((runs, 150)) < 0.5, 0.7, 0.9) - lost
            arms.append((rng.binomial(sizes.astype(int), rates).astype(float), sizes))
        for (base, base_sizes), (cand, cand_sizes) in zip(*(zip(*arm, strict=True) for arm in arms), strict=True):
            pair = Units(base, base_sizes, np.full(150, 0.5)), Units(cand, cand_sizes, np.full(150, 0.5))
            test = compare_streams_mean(*pair, reach=1.0, bounded=True, margin=0.05, alpha=alpha)
            found.append(test.noninferior.p < alpha if drop else test.harm.p <= alpha)

    limit = alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs)
    assert max(np.mean(found[:runs]), np.mean(found[runs:])) <= limit
