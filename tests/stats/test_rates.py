"""Event rates of two streams."""

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.rates import test_poisson_2indep as poisson_two_sample

from canary.stats.rates import (
    compare_event_rates,
    conditional_p,
    phased_p,
    restricted_rates,
    score_interval,
    score_statistic,
)

TABLES = [(5, 200, 12, 180), (0, 50, 3, 50), (3, 50, 0, 50), (1, 1_000, 9, 1_100), (50, 60, 40, 70)]


@pytest.mark.parametrize(("x_b", "n_b", "x_c", "n_c"), [t for t in TABLES if t[0]])  # it divides by x_b
@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_conditional_test_agrees_with_statsmodels(x_b: int, n_b: int, x_c: int, n_c: int, ratio: float) -> None:
    """The exact conditional p is statsmodels' for two Poisson rates."""
    expected = poisson_two_sample(
        x_c, n_c, x_b, n_b, value=ratio, method="exact-cond", compare="ratio", alternative="larger"
    ).pvalue
    assert float(conditional_p(x_b, n_b, x_c, n_c, ratio)) == pytest.approx(expected)


@pytest.mark.parametrize(("x_b", "n_b", "x_c", "n_c"), TABLES)
@pytest.mark.parametrize("null", [-0.1, 0.005, 0.05])
def test_restricted_rates_maximise_the_likelihood(x_b: int, n_b: int, x_c: int, n_c: int, null: float) -> None:
    """The closed root is where a search finds the binomial likelihood largest."""

    def negative(p: float) -> float:
        return -float(stats.binom.logpmf(x_b, n_b, p) + stats.binom.logpmf(x_c, n_c, p + null))

    ends = max(0, -null) + 1e-9, min(1, 1 - null) - 1e-9
    best = optimize.minimize_scalar(negative, bounds=ends, method="bounded", options={"xatol": 1e-10}).x
    arrays = (np.array([float(v)]) for v in (x_b, n_b, x_c, n_c, null))
    base, cand = restricted_rates(*arrays)
    assert base[0] == pytest.approx(best, abs=1e-5)
    assert cand[0] - base[0] == pytest.approx(null)


def test_published_interval_where_statsmodels_errs() -> None:
    """56/70 against 48/80 ends at .3382 (Newcombe 1998), not at statsmodels' .3440."""
    found = score_interval(48, 80, 56, 70, 0.95)
    assert (found.low, found.high) == pytest.approx((0.0528, 0.3382), abs=5e-5)


@pytest.mark.parametrize(("x_b", "n_b", "x_c", "n_c"), TABLES)
def test_interval_inverts_the_margin_test(x_b: int, n_b: int, x_c: int, n_c: int) -> None:
    """A margin a hair above the upper end passes, a hair below does not."""
    high = score_interval(x_b, n_b, x_c, n_c, 0.9).high
    if high > 1e-3:
        inside = compare_event_rates(x_b, n_b, x_c, n_c, margin=high + 1e-7, alpha=0.05)
        outside = compare_event_rates(x_b, n_b, x_c, n_c, margin=high - 1e-7, alpha=0.05)
        assert inside.noninferior.p < 0.05 < outside.noninferior.p
    else:
        assert compare_event_rates(x_b, n_b, x_c, n_c, margin=1e-3, alpha=0.05).noninferior.p < 0.05


@pytest.mark.parametrize(("x_b", "n_b", "x_c", "n_c"), TABLES)
def test_swapping_arms_negates_the_interval(x_b: int, n_b: int, x_c: int, n_c: int) -> None:
    """The interval of the swapped arms is the negated one."""
    one, other = score_interval(x_b, n_b, x_c, n_c, 0.9), score_interval(x_c, n_c, x_b, n_b, 0.9)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


def test_no_errors_need_539_requests_for_half_a_point() -> None:
    """Zero errors in both arms show +0.5 points from 539 requests an arm on."""
    passes = [compare_event_rates(0, n, 0, n, margin=0.005, alpha=0.05).noninferior.p < 0.05 for n in (538, 539)]
    assert passes == [False, True]
    assert not compare_event_rates(0, 600, 0, 600, margin=0.005, alpha=0.05).can_reject


@pytest.mark.parametrize(("x_b", "x_c"), [(0, 30), (30, 0), (30, 30), (0, 0)])
def test_extreme_tables_are_defined(x_b: int, x_c: int) -> None:
    """All failed, none failed, and both are answered without NaN."""
    found = compare_event_rates(x_b, 30, x_c, 30, margin=0.02, alpha=0.05)
    assert -1 <= found.estimate.low <= found.estimate.center <= found.estimate.high <= 1
    assert (found.harm.p < 0.05) is (x_c > x_b)
    assert (found.noninferior.p < 0.05) is (x_c < x_b)


def test_statistic_of_a_certain_null_is_zero() -> None:
    """Where the null leaves no variance and fits exactly, the statistic is 0."""
    assert score_statistic([0.0], [5.0], [5.0], [5.0], [1.0 - 1e-16])[0] == pytest.approx(0, abs=1e-6)


def test_phases_are_judged_within() -> None:
    """A share that ramps while errors rise is no difference, though the pooled rates say so."""
    counts = ([9, 10], [900, 100], [1, 90], [100, 900])
    found = compare_event_rates(*counts, margin=0.05, alpha=0.05)
    assert found.estimate.center == pytest.approx(0)
    assert found.harm.p > 0.4
    assert compare_event_rates(19, 1_000, 91, 1_000, margin=0.05, alpha=0.05).harm.p < 1e-6


def test_phases_alike_are_one_table() -> None:
    """Where every phase has the same split, the exact tail is that of the pooled table."""
    split = ([2, 3, 1], [100, 200, 50], [5, 6, 4], [100, 200, 50])
    pooled = [sum(counts) for counts in split]
    assert phased_p(*split) == pytest.approx(float(conditional_p(*pooled)))
    one = compare_event_rates(*pooled, margin=0.05, alpha=0.05)
    assert score_interval(*split, 0.9).center == pytest.approx(one.estimate.center)


def test_swapping_arms_negates_the_phased_interval() -> None:
    """The interval over phases is antisymmetric too."""
    x_b, n_b, x_c, n_c = [2, 9], [300, 90], [7, 30], [40, 100]
    one, other = score_interval(x_b, n_b, x_c, n_c, 0.9), score_interval(x_c, n_c, x_b, n_b, 0.9)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


@pytest.mark.parametrize("counts", [(-1, 5, 0, 5), (6, 5, 0, 5), (0, 0, 0, 5)])
def test_impossible_counts_are_errors(counts: tuple[int, int, int, int]) -> None:
    """More events than requests, or no requests, is refused."""
    with pytest.raises(ValueError, match="events must lie"):
        compare_event_rates(*counts, margin=0.02, alpha=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.2])
def test_both_error_rates_hold_by_enumeration(rate: float) -> None:
    """Exactly: false alarms at most .05, false passes at the margin at most .06."""
    n, margin = 600, 0.02
    x = np.arange(n + 1)
    base, cand = np.meshgrid(x, x, indexing="ij")
    same = np.outer(stats.binom.pmf(x, n, rate), stats.binom.pmf(x, n, rate))
    edge = np.outer(stats.binom.pmf(x, n, rate), stats.binom.pmf(x, n, rate + margin))
    assert np.sum(same[conditional_p(base, n, cand, n) <= 0.05]) <= 0.05
    passes = stats.norm.cdf(score_statistic(base, n, cand, n, margin)) < 0.05
    assert np.sum(edge[passes]) <= 0.06
