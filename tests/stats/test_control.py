"""The control chart over past verdicts."""

import numpy as np

from canary.stats.control import chart


def test_limits_are_shewharts() -> None:
    """Mean plus and minus 2.66 mean moving ranges, by hand."""
    found = chart([1, 2, 1, 2, 1, 2, 1, 2], 1.5)
    assert found is not None
    assert (found.center, found.n) == (1.5, 8)
    assert np.isclose(found.high - found.center, 3 / 1.128)
    assert not found.is_outside


def test_a_value_beyond_three_sigma_is_outside() -> None:
    """Either side counts, and a constant past tolerates nothing else."""
    past = [1, 2, 1, 2, 1, 2, 1, 2]
    for value, outside in ((4.2, True), (-1.2, True), (4.1, False)):
        found = chart(past, value)
        assert found is not None
        assert found.is_outside is outside
    constant = chart([1.0] * 10, 1.1)
    assert constant is not None
    assert constant.is_outside


def test_eight_on_one_side_are_a_shift() -> None:
    """A level that moved shows before any single value is far out."""
    moved = chart([*[0.0, 0.2] * 10, *[0.35] * 7], 0.35)
    steady = chart([0.0, 0.2] * 10, 0.0)
    assert moved is not None
    assert moved.is_shifted
    assert steady is not None
    assert not steady.is_shifted


def test_too_little_past_makes_no_chart() -> None:
    """Seven runs are no history."""
    assert chart([1.0] * 7, 1.0) is None
    assert chart([], 1.0) is None
