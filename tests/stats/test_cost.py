"""Cost as a ratio of means."""

import numpy as np
import pytest
from scipy import stats

from canary.stats.cost import compare_ratio_of_means
from canary.stats.results import Finding
from canary.stats.vector import Floats


def costs(n: int, factor: float = 1.0, seed: int = 0) -> tuple[Floats, Floats]:
    """Costs of two arms that share their prompts."""
    rng = np.random.default_rng(seed)
    base = rng.lognormal(0, 0.8, n)
    return base, factor * base * rng.lognormal(0, 0.2, n)


def paired(base: Floats, cand: Floats, *, max_ratio: float = 1.1, alpha: float = 0.05) -> Finding:
    """A comparison with one prompt per cluster."""
    return compare_ratio_of_means(base, cand, np.arange(base.size), max_ratio=max_ratio, alpha=alpha)


def test_paired_error_has_the_covariance() -> None:
    """The log ratio's variance is the delta method's with the sample covariance."""
    base, cand = costs(200)
    cov = np.cov(base, cand) / 200
    b, c = base.mean(), cand.mean()
    error = np.sqrt(cov[1, 1] / c**2 + cov[0, 0] / b**2 - 2 * cov[0, 1] / (b * c))
    found = paired(base, cand)
    assert found.estimate.center == pytest.approx(c / b)
    assert found.harm.p == pytest.approx(stats.t.sf(np.log(c / b) / error, 199))


def test_margin_is_judged_with_one_dear_request() -> None:
    """The upper end is that of the relative excess with one of 1 added, to the digit."""
    base, cand = costs(200)
    excess = np.append(cand / cand.mean() - base / base.mean(), 1.0)
    high = np.log(cand.mean() / base.mean()) + excess.mean() + stats.t.ppf(0.95, 200) * stats.sem(excess)
    assert paired(base, cand).estimate.high == pytest.approx(np.exp(high))


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.07, 1.09, 1.3])
def test_interval_inverts_the_margin_test(factor: float) -> None:
    """Inside the margin is an upper end inside it."""
    base, cand = costs(150, factor)
    found = paired(base, cand)
    assert (found.noninferior.p < 0.05) is (found.estimate.high < 1.1)
    assert found.estimate.low <= found.estimate.center <= found.estimate.high


def test_swapping_arms_inverts_the_interval() -> None:
    """The interval of the swapped arms is the reciprocal one."""
    base, cand = costs(80, 1.1)
    one, other = paired(base, cand).estimate, paired(cand, base).estimate
    assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))


def test_repeats_are_not_extra_prompts() -> None:
    """Copying every pair inside its cluster changes nothing."""
    base, cand = costs(60)
    copied = compare_ratio_of_means(
        np.repeat(base, 3), np.repeat(cand, 3), np.repeat(np.arange(60), 3), max_ratio=1.1, alpha=0.05
    )
    assert copied.noninferior.p == pytest.approx(paired(base, cand).noninferior.p)


def test_equal_costs_prove_a_margin_only_by_their_number() -> None:
    """Ten equal costs do not show 10 %, forty do; neither shows harm."""
    few, many = (paired(np.full(n, 0.01), np.full(n, 0.01)) for n in (10, 40))
    assert few.noninferior.p > 0.05 > many.noninferior.p
    assert few.harm.p == many.harm.p == 0.5
    assert not few.can_reject


def test_double_cost_without_variance_is_harm() -> None:
    """A price that doubles for every request is harm, though nothing varies."""
    found = paired(np.full(30, 0.01), np.full(30, 0.02))
    assert found.harm.p < 0.001
    assert found.noninferior.p > 0.99


def test_a_free_candidate_is_inside() -> None:
    """Costs that fall to nothing are a ratio of 0, never harm."""
    base, _ = costs(30)
    found = paired(base, np.zeros(30))
    assert (found.estimate.center, found.estimate.high, found.harm.p) == (0, 0, 1)
    assert found.noninferior.p < 0.05


def test_a_single_request_proves_nothing() -> None:
    """One request shows neither harm nor a margin."""
    found = paired(np.ones(1), np.ones(1))
    assert min(found.harm.p, found.noninferior.p) >= 0.5
    assert found.estimate.high > 10


def test_a_few_dear_requests_are_pointed_out() -> None:
    """When three of 200 requests carry the difference the finding warns."""
    base = np.ones(200)
    cand = base.copy()
    cand[:3] = 30.0
    assert paired(base, cand).warnings == ("a few requests carry the difference in cost",)
    assert paired(*costs(200)).warnings == ()


def test_undefined_ratios_are_errors() -> None:
    """A free baseline, a negative cost and a ratio of 1 are refused."""
    with pytest.raises(ValueError, match="baseline costs nothing"):
        paired(np.zeros(5), np.zeros(5))
    with pytest.raises(ValueError, match="0 or more"):
        paired(np.array([1.0]), np.array([-1.0]))
    with pytest.raises(ValueError, match="max_ratio"):
        paired(np.ones(5), np.ones(5), max_ratio=1.0)


def in_time(base: Floats, cand: Floats) -> Finding:
    """The same of costs that are times, in the order of the clock."""
    return compare_ratio_of_means(base, cand, np.arange(base.size), max_ratio=1.1, alpha=0.05, in_time=True)


def test_stretches_of_time_hang_together() -> None:
    """An arm that is slow for a while is no harm in 20 stretches, to the digit, and is harm if taken for chance."""
    base, cand = costs(400)
    cand = cand * np.tile(np.repeat([1.0, 1.4, 0.8, 1.2, 0.8], 20), 4)
    parts = (cand / cand.mean() - base / base.mean()).reshape(20, 20).mean(axis=1)
    log_ratio = np.log(cand.mean() / base.mean())

    assert in_time(base, cand).harm.p == pytest.approx(stats.t.sf(log_ratio / stats.sem(parts), 19))
    assert in_time(base, cand).harm.p > 0.05 > paired(base, cand).harm.p
    assert "20 stretches of time" in in_time(base, cand).method


def test_spells_that_outlast_a_stretch_decide_nothing() -> None:
    """An arm that is slow for a fifth of the run tells what that hour cost, neither harm nor room inside a margin."""
    base, cand = costs(400)
    cand = cand * np.repeat([1.0, 1.5, 0.9, 0.9, 0.95], 80)

    with pytest.raises(ValueError, match="one arm was slow or fast for longer than a 20th of the run"):
        in_time(base, cand)
    assert paired(base, cand).harm.p < 0.05


def test_the_larger_error_counts() -> None:
    """Where stretches differ less than prompts do, nothing is gained by them; 20 pairs have none."""
    base, cand = costs(400)
    cand = np.sort(cand / base)[np.argsort(np.tile(np.arange(20), 20), kind="stable").argsort()] * base

    assert in_time(base, cand) == paired(base, cand)
    assert in_time(base[:20], cand[:20]) == paired(base[:20], cand[:20])


def wandering(rng: np.random.Generator, shape: tuple[int, ...], phi: float) -> Floats:
    """Effects of minutes (runs, minutes) with standard deviation 0.2, each like the one before it by `phi`."""
    found = rng.normal(size=shape)
    for minute in range(1, shape[-1]):
        found[:, minute] = phi * found[:, minute - 1] + np.sqrt(1 - phi**2) * found[:, minute]
    return 0.2 * found


@pytest.mark.slow
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_error_rates_of_time_that_is_paid_for(phi: float) -> None:
    """Minutes slow for both arms, however they hang together, cause no more than 5 % of false alarms and passes."""
    runs, n = 2_000, 300
    rng = np.random.default_rng(int(10 * phi))
    minutes = np.repeat(wandering(rng, (runs, 60), phi), 5, axis=1)
    noise = rng.normal(0, 0.3, (2, runs, n))
    base, cand = rng.lognormal(0, 0.8, (runs, n)) * np.exp(minutes + noise)
    assert_level(base, cand)


@pytest.mark.slow
def test_error_rates_where_each_arm_has_its_own_minutes() -> None:
    """Minutes slow for one arm only: 20 stretches keep the promise that single pairs break threefold."""
    runs, n = 2_000, 1_000
    rng = np.random.default_rng(7)
    minutes = [np.repeat(wandering(rng, (runs, 100), 0.0), 10, axis=1) for _ in range(2)]
    base, cand = rng.lognormal(0, 0.8, (runs, n)) * np.exp(np.array(minutes) + rng.normal(0, 0.3, (2, runs, n)))
    assert_level(base, cand)

    naive = [paired(b, c).harm.p <= 0.05 for b, c in zip(base, cand, strict=True)]
    assert np.mean(naive) > 0.12


def decided(base: Floats, cand: Floats) -> tuple[bool, bool]:
    """Whether it alarms, and whether it passes; neither where it holds."""
    try:
        found = in_time(base, cand)
    except ValueError:
        return False, False
    return found.harm.p <= 0.05, found.noninferior.p < 0.05


def assert_level(base: Floats, cand: Floats) -> None:
    """False alarms, and passes at the margin, are 5 % at most; arrays (runs, n) of unchanged costs."""
    pairs = list(zip(base, cand, strict=True))
    alarms = [decided(b, c)[0] for b, c in pairs]
    passes = [decided(b, 1.1 * c)[1] for b, c in pairs]

    assert max(np.mean(alarms), np.mean(passes)) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(pairs))


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200])
def test_error_rates_of_the_paired_ratio(n: int) -> None:
    """False alarms and passes at the margin stay at 5 %, over 4,000 skewed samples."""
    runs = 4_000
    rng = np.random.default_rng(n)
    base = rng.lognormal(0, 0.8, (runs, n))
    cand = base * rng.lognormal(-0.02, 0.2, (runs, n))  # mean factor 1
    alarms = [paired(b, c).harm.p <= 0.05 for b, c in zip(base, cand, strict=True)]
    passes = [paired(b, 1.1 * c).noninferior.p < 0.05 for b, c in zip(base, cand, strict=True)]
    assert max(np.mean(alarms), np.mean(passes)) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
