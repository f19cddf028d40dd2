"""What a plan can show, against enumeration, simulation and closed forms."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from canary.stats.floor import check_floor
from canary.stats.paired import midp, tango_noninferiority
from canary.stats.power import (
    continuous_pairs_needed,
    continuous_power,
    event_harm_power,
    event_power,
    mcnemar_power,
    more_events,
    more_pairs_binary,
    more_pairs_continuous,
    more_units,
    pairs_needed,
    smallest_detectable_drop,
    smallest_passing_n,
    smallest_reaching_n,
    tango_power,
    tokens_in_flight,
)


@pytest.mark.parametrize(
    ("n", "five", "three"), [(50, 0.048, 0.018), (100, 0.050, 0.014), (200, 0.049, 0.009), (400, 0.050, 0.004)]
)
def test_promotion_of_a_true_loss_at_the_margin(n: int, five: float, three: float) -> None:
    """A true 5-point drop at discordance .15 passes as rarely as tabled."""
    assert tango_power(n, 0.15, -0.05, 0.05, 0.05) == pytest.approx(five, abs=5.1e-4)
    assert tango_power(n, 0.15, -0.05, 0.03, 0.05) == pytest.approx(three, abs=5.1e-4)


def test_power_by_brute_force() -> None:
    """The windowed sum equals the sum over every possible table."""
    n, psi, delta, margin = 40, 0.2, -0.03, 0.1
    lost, won = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    kept = lost + won <= n
    weight = stats.multinomial.pmf(
        np.stack([lost[kept], won[kept], n - lost[kept] - won[kept]], axis=1), n, [0.115, 0.085, 0.8]
    )
    passes = [
        tango_noninferiority(int(b), int(c), n, margin).p < 0.05 for b, c in zip(lost[kept], won[kept], strict=True)
    ]
    assert tango_power(n, psi, delta, margin, 0.05) == pytest.approx(float(weight[passes].sum()))
    alarms = midp(lost[kept], won[kept]) <= 0.05
    assert mcnemar_power(n, psi, delta, 0.05) == pytest.approx(float(weight[alarms].sum()))


@pytest.mark.parametrize(("margin", "n"), [(0.01, 268), (0.02, 133), (0.03, 88), (0.05, 52), (0.1, 25)])
def test_smallest_passing_n(margin: float, n: int) -> None:
    """The closed form agrees with the test itself at n and n - 1."""
    assert smallest_passing_n(margin, 0.05) == n


@pytest.mark.parametrize("floor", [0.0, 0.05, 0.5, 0.8, 0.95, 0.99])
def test_smallest_reaching_n(floor: float) -> None:
    """So many answers that all pass are shown to reach the floor, and one fewer is not; 1.0 nothing reaches."""
    n = smallest_reaching_n(floor, 0.05)
    assert n is not None
    reached = [check_floor(np.ones(k), np.arange(k), floor=floor, alpha=0.05, kind="binary") for k in (n, n - 1) if k]

    assert [found.noninferior.p < 0.05 for found in reached] == [True, False][: len(reached)]
    assert smallest_reaching_n(1.0, 0.05) is None


@pytest.mark.parametrize(("margin", "formula"), [(0.02, 1546), (0.03, 687), (0.05, 248), (0.1, 62)])
def test_pairs_needed_reach_their_power(margin: float, formula: int) -> None:
    """The exact n reaches 80 %, and lies a little above the normal formula."""
    n = pairs_needed(0.1, margin, 0.05, 0.8)
    assert tango_power(n, 0.1, 0.0, margin, 0.05) >= 0.8
    assert formula <= n <= formula + 25


def test_no_number_of_pairs_passes_a_loss_at_the_margin() -> None:
    """A true difference at the margin is refused, for pairs and for scores."""
    with pytest.raises(ValueError, match="outside the margin"):
        pairs_needed(0.1, 0.05, 0.05, 0.8, delta=-0.05)
    with pytest.raises(ValueError, match="outside the margin"):
        continuous_pairs_needed(0.3, 0.05, 0.05, 0.8, delta=-0.05)


def test_an_absurd_need_is_said() -> None:
    """More than ten million pairs is no plan, nor a hundred thousand that would have to be enumerated."""
    for margin in (1e-3, 1e-6):
        with pytest.raises(ValueError, match="more than 100000 would be needed"):
            pairs_needed(0.05, margin, 0.05, 0.8)
    with pytest.raises(ValueError, match="would be needed"):
        continuous_pairs_needed(1e3, 1e-3, 0.05, 0.8)


@pytest.mark.parametrize("n", [60, 150, 600])
def test_smallest_detectable_drop_is_detected(n: int) -> None:
    """At the drop the power is 80 %, just below it is less."""
    drop = smallest_detectable_drop(n, 0.05, 0.05, 0.8)
    assert mcnemar_power(n, 0.05, -drop, 0.05) >= 0.8
    assert mcnemar_power(n, 0.05, -drop + 2e-3, 0.05) < 0.8


def test_three_pairs_detect_nothing() -> None:
    """Losing all of three pairs is no significant harm: the drop is infinite."""
    assert smallest_detectable_drop(3, 0.05, 0.05, 0.8) == math.inf


def worst_false_pass(ns: range, spare: tuple[float, ...]) -> float:
    """The largest chance to pass a loss at the margin, over n, margins and wins."""
    cells = ((n, m + extra, m) for n in ns for m in (0.03, 0.05, 0.1) for extra in spare)
    return max(tango_power(n, psi, -m, m, 0.05) for n, psi, m in cells)


@pytest.mark.slow
def test_error_rates_by_enumeration() -> None:
    """Tango passes at the margin at most .055 where pairs are also won, .072 where none is; mid-p alarms .052."""
    assert worst_false_pass(range(60, 301, 4), (0.02, 0.05, 0.1)) <= 0.055
    assert worst_false_pass(range(20, 301, 1), (0.0,)) <= 0.072  # at the very n from which no loss passes
    alarm = max(mcnemar_power(n, psi, 0.0, 0.05) for n in range(10, 301, 5) for psi in (0.02, 0.05, 0.1, 0.3))
    assert alarm <= 0.052


def test_continuous_power_is_the_noncentral_t() -> None:
    """Without a worst-case pair the power is statsmodels'."""
    expected = TTestPower().power(0.05 / 0.3, 200, 0.05, alternative="larger")
    assert continuous_power(200, 0.3, 0.0, 0.05, 0.05) == pytest.approx(expected)


@pytest.mark.slow
def test_continuous_power_with_a_worst_case_pair_by_simulation() -> None:
    """Predicted and simulated power of the bounded test agree within 3 SE and .01."""
    rng = np.random.default_rng(0)
    d = np.append(rng.normal(0, 0.15, (4_000, 150)), np.full((4_000, 1), -1.0), axis=1)
    passed = np.mean(stats.ttest_1samp(d, -0.05, axis=1, alternative="greater").pvalue < 0.05)
    assert continuous_power(150, 0.15, 0.0, 0.05, 0.05, reach=1.0) == pytest.approx(passed, abs=0.034)


def test_continuous_power_at_the_ends() -> None:
    """One pair has none; without any spread it is certain or impossible."""
    assert continuous_power(1, 0.3, 0.0, 0.05, 0.05) == 0
    assert continuous_power(9, 0.0, 0.0, 0.05, 0.05) == 1
    assert continuous_power(9, 0.0, -0.1, 0.05, 0.05) == 0


def test_event_power_matches_the_measured_figures() -> None:
    """+2 points at a 5 % base rate pass .46 of the time at n = 600; 2x of 3 % needs about 1,200."""
    assert event_power(600, 600, 0.05, 0.05, 0.02, 0.05) == pytest.approx(0.46, abs=0.015)
    assert event_harm_power(600, 600, 0.03, 0.06, 0.05) == pytest.approx(0.8, abs=0.05)
    assert tango_power(600, 0.02, 0.0, 0.02, 0.05) == pytest.approx(0.93, abs=0.01)


def test_more_events_reach_their_power() -> None:
    """The total passes equal rates with 80 %, 2 % fewer do not; with ten to one it is the small arm's."""
    n = 100 + (more_events((0.02, 0.02), (100, 100), 0.02, (0.05, 0.05)) or 0)
    assert event_power(n, n, 0.02, 0.02, 0.02, 0.05) >= 0.8
    assert event_power(round(0.98 * n), round(0.98 * n), 0.02, 0.02, 0.02, 0.05) < 0.8
    small = 100 + (more_events((0.02, 0.02), (1_000, 100), 0.02, (0.05, 0.05)) or 0)
    assert event_power(10 * small, small, 0.02, 0.02, 0.02, 0.05) >= 0.8
    assert small < n


def test_more_events_without_any_is_what_a_margin_takes() -> None:
    """No error in 200 requests an arm: half a point is shown at 539."""
    assert more_events((0.0, 0.0), (200, 200), 0.005, (0.05, 0.05)) == 539 - 200


def test_more_events_finds_harm_sooner_than_safety() -> None:
    """A rise beyond the margin is settled by harm; one at the margin, without harm to show, never."""
    found = more_events((0.03, 0.06), (100, 100), 0.005, (0.05, 0.05))
    assert found is not None
    assert event_harm_power(100 + found, 100 + found, 0.03, 0.06, 0.05) >= 0.78
    assert more_events((0.0, 0.0), (5, 5), 1e-9, (0.05, 0.05)) is None


LEVELS = (0.05, 0.05)


def test_a_silent_run_needs_the_fewest_pairs_that_can_pass() -> None:
    """Without a discordant pair in 100, a margin of 2 points is shown from 133 on."""
    assert more_pairs_binary(0.0, 0.0, 100, 0.02, LEVELS) == smallest_passing_n(0.02, 0.05) - 100 == 33


@pytest.mark.parametrize(("psi", "delta", "margin"), [(0.05, -0.02, 0.03), (0.2, -0.1, 0.1), (0.1, 0.0, 0.05)])
def test_needs_of_pairs_reach_their_power(psi: float, delta: float, margin: float) -> None:
    """One of the two answers comes with 80 % at the number named, and neither at 8 % fewer."""
    n = 10 + (more_pairs_binary(psi, delta, 10, margin, LEVELS) or 0)

    def powers(total: int) -> float:
        return max(tango_power(total, psi, delta, margin, 0.05), mcnemar_power(total, psi, delta, 0.05))

    assert powers(n) >= 0.8
    assert powers(int(0.92 * n)) < 0.8


def test_needs_of_means_are_exact_for_the_margin() -> None:
    """What is lacking is the total less what is there; beyond the margin only harm can be shown."""
    total = continuous_pairs_needed(0.3, 0.05, 0.05, 0.8, reach=1.0)
    assert more_pairs_continuous(0.3, 0.0, 100, 0.05, LEVELS, reach=1.0) == total - 100
    assert more_pairs_continuous(0.3, 0.0, total, 0.05, LEVELS, reach=1.0) == 1
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    assert more_pairs_continuous(0.3, -0.06, 50, 0.05, LEVELS, reach=1.0) == np.ceil((z * 0.3 / 0.06) ** 2) - 50


def test_needs_without_an_end_are_none() -> None:
    """Exactly at the margin nothing passes, and at no change nothing harms."""
    assert more_pairs_binary(0.1, -1e-7, 100, 1e-6, LEVELS) is None
    assert more_pairs_continuous(0.3, 0.0, 100, 1e-6, LEVELS, reach=0.0) is None


def test_needs_of_an_interval_follow_its_width() -> None:
    """Twice the width that 80 % calls for takes four times the requests."""
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    half = stats.norm.ppf(0.95) * 0.1 / z * 2
    assert more_units(half, (0.1,), 100, 0.05) == pytest.approx(300, abs=1)
    assert more_units(half, (0.0,), 100, 0.05) is None


def test_tokens_in_flight() -> None:
    """Five requests a second for two seconds hold ten prompts and half their answers."""
    assert tokens_in_flight(5, 2, 500, 200) == 10 * 600


@pytest.mark.parametrize(("n", "psi", "delta"), [(0, 0.1, 0.0), (10, 1.1, 0.0), (10, 0.1, -2.0)])
def test_impossible_plans_are_errors(n: int, psi: float, delta: float) -> None:
    """No pairs, a discordance above 1 and a loss beyond all are refused."""
    with pytest.raises(ValueError, match="need n >= 1"):
        tango_power(n, psi, delta, 0.05, 0.05)
