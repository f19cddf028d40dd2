"""Two arms, the same prompts."""

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.weightstats import ttost_paired

from canary.stats.paired import (
    compare_binary,
    compare_scores,
    count_wins,
    mcnemar_midp,
    midp,
    tango_bounds,
    tango_interval,
    tango_noninferiority,
    tango_statistic,
)
from canary.stats.results import Finding
from canary.stats.vector import Floats

COUNTS = [(0, 0, 10), (5, 0, 5), (0, 5, 5), (3, 1, 14), (16, 6, 161), (40, 20, 541), (1, 0, 1), (300, 280, 1319)]


def scores(n: int, shift: float = 0.0, seed: int = 0) -> tuple[Floats, Floats]:
    """Two arms of correlated scores in [0, 1]."""
    rng = np.random.default_rng(seed)
    base = rng.random(n)
    return base, np.clip(base + shift + rng.normal(0, 0.1, n), 0, 1)


def compared(base: Floats, cand: Floats, *, margin: float = 0.1, alpha: float = 0.05) -> Finding:
    """A bounded comparison with one prompt per cluster."""
    return compare_scores(base, cand, np.arange(base.size), margin=margin, alpha=alpha, bounded=True, seed=3)


@pytest.mark.parametrize(("lost", "won"), [(0, 1), (1, 0), (5, 2), (2, 5), (16, 6), (300, 280)])
def test_midp_is_the_exact_test_less_half_its_atom(lost: int, won: int) -> None:
    """Mid-p equals P(B >= b) - P(B = b)/2 as scipy and statsmodels have them."""
    total = lost + won
    exact = stats.binomtest(lost, total, alternative="greater").pvalue
    assert float(midp(lost, won)) == pytest.approx(exact - stats.binom.pmf(lost, total, 0.5) / 2)
    two_sided = mcnemar([[0, lost], [won, 0]], exact=True).pvalue
    assert two_sided == pytest.approx(min(1, 2 * min(exact, 1 - exact + stats.binom.pmf(lost, total, 0.5))))


def test_no_discordant_pair_says_nothing() -> None:
    """Without a changed result harm has p 1 and cannot reject at all."""
    same = np.ones(200)
    found = compare_binary(same, same, margin=0.03, alpha=0.05)
    assert (found.harm.p, found.can_reject) == (1.0, False)


@pytest.mark.parametrize(("lost", "won", "n"), COUNTS)
def test_tango_is_the_likelihood_score(lost: int, won: int, n: int) -> None:
    """The closed-form loss rate maximises the trinomial likelihood under the null."""
    null = -0.07

    def negative(q: float) -> float:
        return -float(np.sum(stats.multinomial.logpmf([lost, won, n - lost - won], n, [q, q + null, 1 - 2 * q - null])))

    best = optimize.minimize_scalar(negative, bounds=(0.07, 0.535), method="bounded", options={"xatol": 1e-10}).x
    variance = n * (2 * best + null * (1 - null))
    expected = (won - lost - n * null) / np.sqrt(variance)
    assert float(tango_statistic(lost, won, n, null)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("lost", "won", "n"), COUNTS)
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_interval_inverts_the_margin_test(lost: int, won: int, n: int, alpha: float) -> None:
    """At a margin a hair inside or outside the low end the test agrees with it."""
    low = tango_interval(lost, won, n, 1 - 2 * alpha).low
    if -0.999 < low < -0.001:
        assert tango_noninferiority(lost, won, n, -low + 1e-6).p < alpha
        assert tango_noninferiority(lost, won, n, -low - 1e-6).p > alpha
    else:
        assert low <= -0.999 or low > 0


@pytest.mark.parametrize(("lost", "won", "n"), COUNTS)
def test_swapping_arms_negates_the_interval(lost: int, won: int, n: int) -> None:
    """The interval of the swapped arms is the negated interval."""
    one, other = tango_interval(lost, won, n, 0.9), tango_interval(won, lost, n, 0.9)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-12)


def test_intervals_are_nested_across_alphas() -> None:
    """A smaller alpha never gives a shorter interval, for any table of 30 pairs."""
    lost, won = (a.ravel() for a in np.meshgrid(np.arange(31), np.arange(31)))
    kept = lost + won <= 30
    bounds = [tango_bounds(lost[kept], won[kept], 30, float(stats.norm.ppf(1 - a))) for a in (0.2, 0.05, 0.01)]
    lows, highs = (np.array([pair[end] for pair in bounds]) for end in (0, 1))
    assert np.all(np.diff(lows, axis=0) <= 1e-12)
    assert np.all(np.diff(highs, axis=0) >= -1e-12)


@pytest.mark.parametrize(("margin", "n"), [(0.01, 268), (0.02, 133), (0.03, 88), (0.05, 52), (0.10, 25)])
def test_smallest_n_that_can_pass(margin: float, n: int) -> None:
    """With no pair changed the margin is shown from exactly the tabled n on."""
    assert tango_noninferiority(0, 0, n, margin).p < 0.05
    assert tango_noninferiority(0, 0, n - 1, margin).p >= 0.05


def test_two_against_two_fully_separated_is_no_proof() -> None:
    """Two losses of two leave harm unproven, and the margin unshown."""
    found = compare_binary([1, 1], [0, 0], margin=0.1, alpha=0.05)
    assert found.harm.p > 0.05
    assert found.noninferior.p > 0.05


def test_ten_points_lost_on_200_pairs_is_harm() -> None:
    """95 % to 85 % on 200 pairs is significant harm, outside 3 points."""
    base, cand = np.ones(200), np.ones(200)
    base[:10] = 0
    cand[5:35] = 0  # of the 10 the baseline fails, 5 are won
    found = compare_binary(base, cand, margin=0.03, alpha=0.05)
    assert (found.baseline, found.candidate) == (0.95, 0.85)
    assert found.harm.p < 0.001
    assert found.noninferior.p > 0.99


def test_ten_identical_pairs_never_prove_a_point() -> None:
    """Ten equal pairs show a 1-point margin in no kind of score."""
    same = np.full(10, 0.7)
    for bounded in (True, False):
        found = compare_scores(same, same, np.arange(10), margin=0.01, alpha=0.05, bounded=bounded, seed=0)
        assert found.noninferior.p > 0.05
        assert found.estimate.low < -0.01
    assert compare_binary(np.ones(10), np.ones(10), margin=0.01, alpha=0.05).noninferior.p > 0.05


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_scores_interval_inverts_the_margin_test(alpha: float) -> None:
    """For scores too, inside the margin and a low end inside it are one thing."""
    base, cand = scores(60, -0.02)
    low = compared(base, cand, alpha=alpha).estimate.low
    assert compared(base, cand, margin=-low + 1e-9, alpha=alpha).noninferior.p < alpha
    assert compared(base, cand, margin=-low - 1e-9, alpha=alpha).noninferior.p > alpha


def test_swapping_arms_of_scores_negates_the_interval() -> None:
    """The worst case below mirrors the best case above."""
    base, cand = scores(60, -0.02)
    one, other = compared(base, cand).estimate, compared(cand, base).estimate
    assert (one.low, one.center, one.high) == pytest.approx((-other.high, -other.center, -other.low))


def test_order_of_cases_changes_nothing() -> None:
    """Shuffling prompts leaves both p-values and the interval as they are."""
    base, cand = scores(25, -0.05)
    order = np.random.default_rng(1).permutation(25)
    one, other = compared(base, cand), compared(base[order], cand[order])
    assert one.harm.p == other.harm.p
    assert one.noninferior.p == pytest.approx(other.noninferior.p, rel=1e-9)
    assert one.estimate.low == pytest.approx(other.estimate.low, rel=1e-9)


def test_margin_test_is_a_t_test_with_one_more_pair() -> None:
    """The margin p is statsmodels' shifted paired t once the worst pair is in."""
    base, cand = scores(80, -0.02)
    worst = ttost_paired(np.append(cand, 0.0), np.append(base, 1.0), -0.1, 0.1)[1][1]
    assert compared(base, cand).noninferior.p == pytest.approx(worst)


def test_harm_is_a_t_test_when_many_prompts_differ_smoothly() -> None:
    """With 300 smooth differences harm is scipy's paired t, and says so."""
    base, cand = scores(300, -0.01)
    found = compared(base, cand)
    assert found.harm.p == pytest.approx(stats.ttest_rel(cand, base, alternative="less").pvalue)
    assert "cluster-robust t" in found.method


def test_unbounded_scores_take_the_observed_range_for_the_worst_pair() -> None:
    """Changing the unit of an unbounded score changes no p-value."""
    base, cand = scores(50, -0.02)
    one = compare_scores(base, cand, np.arange(50), margin=0.1, alpha=0.05, bounded=False, seed=0)
    many = compare_scores(base * 60, cand * 60, np.arange(50), margin=6.0, alpha=0.05, bounded=False, seed=0)
    assert one.noninferior.p == pytest.approx(many.noninferior.p)
    assert one.harm.p == many.harm.p


def test_repeats_are_not_extra_prompts() -> None:
    """Copying every prompt four times inside its cluster proves nothing more."""
    base, cand = scores(40, -0.02)
    plain = compared(base, cand)
    copied = compare_scores(
        np.repeat(base, 4),
        np.repeat(cand, 4),
        np.repeat(np.arange(40), 4),
        margin=0.1,
        alpha=0.05,
        bounded=True,
        seed=3,
    )
    assert copied.noninferior.p == pytest.approx(plain.noninferior.p)
    assert copied.harm.p == plain.harm.p
    assert copied.estimate.n == 40


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("size", [1, 12])
def test_a_single_cluster_says_so(size: int, *, bounded: bool) -> None:
    """One cluster, or one prompt, proves neither harm nor safety, and warns."""
    found = compare_scores(
        np.ones(size), np.zeros(size), np.zeros(size), margin=0.1, alpha=0.05, bounded=bounded, seed=0
    )
    assert found.harm.p > 0.05
    assert found.noninferior.p > 0.05
    assert "one cluster" in found.warnings[0]


@pytest.mark.parametrize(("base", "cand", "harmed"), [(1.0, 0.0, True), (0.0, 1.0, False), (0.4, 0.4, False)])
@pytest.mark.parametrize("bounded", [True, False])
def test_no_variance_is_defined(base: float, cand: float, *, harmed: bool, bounded: bool) -> None:
    """Equal differences give an answer without NaN: all lost is harm, all won is safe."""
    n = 40
    found = compare_scores(
        np.full(n, base), np.full(n, cand), np.arange(n), margin=0.1, alpha=0.05, bounded=bounded, seed=0
    )
    assert (found.harm.p < 0.01) is harmed
    assert not np.isnan([found.estimate.low, found.estimate.high, found.noninferior.p]).any()
    assert found.estimate.low <= found.estimate.center <= found.estimate.high
    if base != cand:
        assert (found.noninferior.p < 0.05) is not harmed


def test_rare_full_losses_are_judged_by_sign_flips() -> None:
    """A lumpy sample of any size leaves the t test, and the method says so."""
    base, cand = np.ones(2_000), np.ones(2_000)
    cand[:3] = 0
    found = compared(base, cand, margin=0.03)
    assert "sign flips" in found.harm.method
    assert found.harm.p == 0.125  # three losses, no win: 2^-3


def test_grades_are_counted_not_measured() -> None:
    """Ordinal grades lose and win prompts; the size of a step is no distance."""
    base, cand = [5, 4, 3, 3, 1], [1, 4, 4, 4, 2]
    found = compare_binary(*count_wins(base, cand), margin=0.5, alpha=0.05)
    assert found.estimate.center == pytest.approx((3 - 1) / 5)
    assert found.harm.p == mcnemar_midp(1, 3).p


@pytest.mark.parametrize(
    ("base", "cand", "words"),
    [
        ([], [], "non-empty"),
        ([1, 0], [1], "shape"),
        ([1, np.nan], [1, 0], "finite"),
        ([1, 0.5], [1, 0], "0 or 1"),
    ],
)
def test_binary_refuses_what_is_not_pass_or_fail(base: list[float], cand: list[float], words: str) -> None:
    """Anything but two finite 0/1 arrays of one shape is an error."""
    with pytest.raises(ValueError, match=words):
        compare_binary(base, cand, margin=0.1, alpha=0.05)


def test_refuses_impossible_levels_margins_and_scores() -> None:
    """Levels, margins and bounded scores outside their range are errors."""
    with pytest.raises(ValueError, match="alpha"):
        compare_binary([1], [1], margin=0.1, alpha=0.5)
    with pytest.raises(ValueError, match="margin"):
        compare_binary([1], [1], margin=1.0, alpha=0.05)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        compare_scores([1.2], [1], [0], margin=0.1, alpha=0.05, bounded=True, seed=0)
    with pytest.raises(ValueError, match="clusters"):
        compare_scores([1], [1], [0, 1], margin=0.1, alpha=0.05, bounded=True, seed=0)
