"""Answers that repeat each other are counted against the other arm's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from canary.stats.repeats import repeat_test


def directions(labels: list[int], size: int) -> NDArray[np.float64]:
    """One unit vector a label."""
    return np.asarray(np.eye(size)[labels])


def test_a_mode_that_one_arm_fell_into() -> None:
    """A third of the candidate's answers are one: found; turned round, nothing is."""
    own = list(range(90))
    fallen = [0 if i < 30 else i for i in own]
    x, y = directions(own, 90), directions(fallen, 90)

    found, turned = (repeat_test(*arms, [None] * 90, alike=0.98, seed=0) for arms in ((x, y), (y, x)))

    assert found.baseline == 0.0
    assert found.candidate == pytest.approx(1 / 3)
    assert found.test.p == 0.001
    assert (turned.candidate, turned.test.p > 0.9) == (0.0, True)


def test_equal_answers_may_be_right() -> None:
    """Cases that expect one answer may get it, and what both arms repeat is no difference."""
    same = directions([0] * 40, 2)

    right = repeat_test(directions(list(range(40)), 40), directions([0] * 40, 40), ["yes"] * 40, alike=0.98, seed=0)
    both = repeat_test(same, same, [None] * 40, alike=0.98, seed=0)

    assert (right.candidate, right.test.p) == (0.0, 1.0)
    assert (both.baseline, both.candidate, both.test.p) == (1.0, 1.0, 1.0)


def test_an_unchanged_release_is_rarely_found() -> None:
    """Answers drawn from sixty for both arms: p <= 5 % in at most 5 % of 200 runs, give or take chance."""
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 60, size=(200, 2, 40))
    found = [
        repeat_test(directions(list(a), 60), directions(list(b), 60), [None] * 40, alike=0.98, seed=i).test.p <= 0.05
        for i, (a, b) in enumerate(drawn)
    ]

    assert np.mean(found) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_many_pairs_are_sampled() -> None:
    """Memory stays bounded, and the test says what it looked at."""
    rows = np.ones((2_000, 1))

    assert repeat_test(rows, rows, [None] * 2_000, alike=0.98, seed=0).test.warnings == (
        "tested on 1500 of 2000 pairs",
    )
