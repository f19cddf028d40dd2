"""Rates over a window and what is left, by a clock of the test's own."""

from __future__ import annotations

import pytest

from canary.pace import WINDOW_S, Pace, duration


def test_a_rate_is_what_came_over_the_time_it_took() -> None:
    """Ten a second from the beginning are ten a second, and 50 more take five seconds."""
    pace = Pace(100.0)
    for tenth in range(50):
        pace.add(1, 100.1 + tenth / 10)

    assert pace.per_second(105.0) == pytest.approx(10)
    assert pace.seconds_left(50, 105.0) == pytest.approx(5)


def test_nothing_is_claimed_too_soon_or_of_nothing() -> None:
    """No rate within the first second; no end in sight where nothing comes."""
    pace = Pace(0.0)
    pace.add(3, 0.5)

    assert pace.per_second(0.9) is None
    assert pace.seconds_left(10, 0.9) is None
    assert Pace(0.0).seconds_left(10, 60.0) is None


def test_what_is_old_is_forgotten() -> None:
    """A rate follows the load within the window, and falls to nothing when nothing comes."""
    pace = Pace(0.0)
    for second in range(100):
        pace.add(100 if second < 50 else 1, second + 0.5)

    assert pace.per_second(100.0) == pytest.approx(1, rel=0.05)
    assert pace.per_second(100.0 + 2 * WINDOW_S) == 0


def test_memory_does_not_grow_with_the_rate() -> None:
    """A hundred thousand in a minute are kept as at most one number a second."""
    pace = Pace(0.0)
    for number in range(100_000):
        pace.add(1, number / 1666)

    assert pace.per_second(60.0) == pytest.approx(1666, rel=0.05)
    assert len(pace._recent) <= WINDOW_S + 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (42.4, "42 s"), (99.4, "99 s"), (99.6, "2 min"), (3000, "50 min"), (12_600, "3.5 h")],
)
def test_durations(seconds: float, words: str) -> None:
    """Short enough for a line."""
    assert duration(seconds) == words
