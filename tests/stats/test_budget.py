"""Error budgets."""

import pytest
from scipy import stats

from canary.stats.budget import burn_rate, burn_threshold, hours_to_exhaust, over_objective, short_window


@pytest.mark.parametrize(("share", "hours", "burn"), [(0.02, 1, 14.4), (0.05, 6, 6), (0.1, 72, 1)])
def test_thresholds_are_the_workbooks(share: float, hours: float, burn: float) -> None:
    """2 % in 1 h, 5 % in 6 h and 10 % in 3 d of 30 days burn 14.4, 6 and 1."""
    assert burn_threshold(share, hours, 30) == pytest.approx(burn)


def test_windows_and_exhaustion() -> None:
    """The short window is a twelfth; no burn never ends."""
    assert short_window(1) == pytest.approx(5 / 60)
    assert hours_to_exhaust(1, 30) == 720
    assert hours_to_exhaust(0, 30) == float("inf")


def test_low_traffic_needs_the_binomial() -> None:
    """One error in 69 burns 14.4 times a 99.9 % objective, and is no proof."""
    assert burn_rate(1 / 69, 0.999) > 14.4
    assert over_objective(1, 69, 0.999).p == pytest.approx(1 - 0.999**69)
    assert over_objective(3, 69, 0.999).p == pytest.approx(stats.binomtest(3, 69, 0.001, "greater").pvalue)
    assert over_objective(0, 69, 0.999).p == 1


def test_impossible_objectives_are_errors() -> None:
    """An objective of 100 %, and more errors than requests, are refused."""
    with pytest.raises(ValueError, match="objective"):
        burn_rate(0.1, 1.0)
    with pytest.raises(ValueError, match="errors"):
        over_objective(5, 4, 0.99)
