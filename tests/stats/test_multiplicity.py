"""Holm and its weighted form."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from canary.stats.multiplicity import critical_weights, holm, holm_weighted


def test_holm_agrees_with_statsmodels() -> None:
    """Adjusted p-values come back in the order given, ties and ones included."""
    p = [*np.random.default_rng(0).random(20), 0.3, 0.3, 1.0, 0.0]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_equal_weights_are_holm() -> None:
    """Weights that are all alike, whatever their sum, change nothing."""
    p = [0.02, 0.5, 0.001, 0.04]
    assert holm_weighted(p, [3.0] * 4) == pytest.approx(holm(p))


def test_weighted_steps_spend_what_is_left() -> None:
    """Derived by hand: 0.02/0.5 = 0.04, then 0.03/0.25 = 0.12 x 0.5, then 0.2/0.25 x 0.25."""
    adjusted = holm_weighted([0.02, 0.03, 0.2], critical_weights([True, False, False]))
    assert adjusted == pytest.approx([0.04, 0.06, 0.2])


def test_critical_tests_hold_half_of_alpha() -> None:
    """Each group has half; with one group alone all are equal."""
    assert critical_weights([True, False, False, True]).tolist() == [0.25] * 4
    assert critical_weights([True, False, False]).tolist() == [0.5, 0.25, 0.25]
    assert critical_weights([False, False]).tolist() == [0.5, 0.5]
    assert critical_weights([True, False], 0.75).tolist() == [0.75, 0.25]
    with pytest.raises(ValueError, match="'share' must be in"):
        critical_weights([True], 1.0)


def test_an_empty_family_is_empty() -> None:
    """No test, no adjusted p."""
    assert holm([]).size == critical_weights([]).size == 0


@pytest.mark.parametrize("p", [[0.5, 1.2], [float("nan")], [-0.1]])
def test_a_p_outside_its_range_is_an_error(p: list[float]) -> None:
    """What is no p-value is refused, NaN included."""
    with pytest.raises(ValueError, match="p"):
        holm(p)


def test_order_of_tests_changes_nothing() -> None:
    """Permuting the family permutes the answer."""
    p = np.random.default_rng(1).random(30)
    order = np.random.default_rng(2).permutation(30)
    assert holm(list(p[order])) == pytest.approx(holm(list(p))[order])


@pytest.mark.slow
def test_family_error_stays_at_alpha() -> None:
    """Over 14 independent equal strata a false rejection stays at 5 %, weighted or not."""
    p = np.random.default_rng(3).random((20_000, 14))
    ordered = np.sort(p, axis=1)
    plain = np.mean(ordered[:, 0] * 14 <= 0.05)  # any rejection is a rejection of the smallest
    weights = critical_weights([True] * 3 + [False] * 11)
    weighted = np.mean(np.min(p / weights, axis=1) <= 0.05)
    assert plain <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 20_000)
    assert weighted <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 20_000)
    assert holm_weighted(list(p[0]), weights).min() == pytest.approx(min(1, np.min(p[0] / weights)))
