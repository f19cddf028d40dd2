"""What a run shows of itself: a bar where there is a terminal, a few plain lines where there is none."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from canary.records import Arm, ErrorKind, Failure, Response
from canary.run.progress import LINES, Screen
from canary.run.tally import Tally


class Clock:
    """Seconds, when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        """It is."""
        return True


def answered(arm: Arm, tokens: int | None = 20, *, failed: bool = False) -> Response:
    """One answer that took two seconds."""
    error = Failure(kind=ErrorKind.SERVER, message="no") if failed else None
    return Response(id="a", arm=arm, output="x", output_tokens=tokens, total_s=2.0, error=error)


def answer_all(out: io.StringIO, clock: Clock, pairs: int, *, start_s: float = 30.0) -> None:
    """A run whose engines take so long to come up, and which then answers a pair every half second."""
    screen = Screen(out, clock)
    with screen.track("pairs", pairs, soon_s=0) as track:
        tally = Tally(track, comes_up=True)
        clock.now += start_s + 1.5
        for number in range(pairs):
            clock.now += 0.5
            tally.add((answered(Arm.BASELINE), answered(Arm.CANDIDATE, 10, failed=number == 3)))
            if screen._bar is not None:
                screen._bar.refresh()  # sooner than it would by itself


def test_plain_lines_tell_pace_errors_and_what_is_left() -> None:
    """Ten lines; the time that the engines took to come up is said once and slows no rate down."""
    out, clock = io.StringIO(), Clock()
    answer_all(out, clock, 100)
    first, *lines = out.getvalue().splitlines()

    assert first == "up and warmed up after 30 s"
    assert len(lines) == LINES
    assert lines[4] == ("50/100 pairs, about 26 s left; baseline 38 tokens/s, 0 errors; candidate 19 tokens/s, 1 error")
    assert re.fullmatch(r"100/100 pairs, baseline \d+ tokens/s, 0 errors; candidate \d+ tokens/s, 1 error", lines[-1])


def test_fewer_pairs_than_lines() -> None:
    """Three pairs are three lines."""
    out = io.StringIO()
    answer_all(out, Clock(), 3)

    assert [line.split()[0] for line in out.getvalue().splitlines()[1:]] == ["1/3", "2/3", "3/3"]


def test_one_arm_alone_and_tokens_that_nobody_counted() -> None:
    """The build stage asks the candidate only; an answer without a count is no speed."""
    out, clock = io.StringIO(), Clock()
    with Screen(out, clock).track("pairs", 1, soon_s=0) as track:
        clock.now += 5
        Tally(track).add((None, answered(Arm.CANDIDATE, None)))

    assert out.getvalue() == "1/1 pairs, candidate 0 errors\n"


def test_nothing_was_asked_before_it_began() -> None:
    """A recorded answer may say that it took a year."""
    out, clock = io.StringIO(), Clock()
    with Screen(out, clock).track("pairs", 1, soon_s=0) as track:
        clock.now += 2
        Tally(track, comes_up=True).add((replace(answered(Arm.BASELINE), total_s=3e7), answered(Arm.CANDIDATE)))

    assert out.getvalue().startswith("up and warmed up after 0 s\n1/1 pairs, baseline")


def test_a_look_slows_no_arm_down() -> None:
    """While answers are scored nobody is asked anything; what is left takes that long all the same."""
    out, clock = io.StringIO(), Clock()
    with Screen(out, clock).track("pairs", 20, soon_s=0) as track:
        tally = Tally(track)
        clock.now += 1.5
        for number in range(10):
            clock.now += 0.5
            tally.add((answered(Arm.BASELINE), answered(Arm.CANDIDATE)))
            if number == 8:
                with tally.paused():
                    clock.now += 6.5

    assert out.getvalue().splitlines()[-1] == (
        "10/20 pairs, about 13 s left; baseline 31 tokens/s, 0 errors; candidate 31 tokens/s, 0 errors"
    )


def test_a_resumed_run_goes_on_from_where_it_was() -> None:
    """What was done before counts as done, and not as fast."""
    out, clock = io.StringIO(), Clock()
    with Screen(out, clock).track("pairs", 100, done=80, soon_s=0) as track:
        for _ in range(10):
            clock.now += 1
            track.advance()

    assert out.getvalue() == "90/100 pairs, about 10 s left\n"


def test_short_work_says_nothing() -> None:
    """Ten pieces in a second need no lines; ten in a minute do, from five seconds on."""
    for pause, lines in ((0.1, 0), (6.0, 10)):
        out, clock = io.StringIO(), Clock()
        with Screen(out, clock).track("questions", 10) as track:
            for _ in range(10):
                clock.now += pause
                track.advance()

        assert len(out.getvalue().splitlines()) == lines


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
def test_a_bar_fits_its_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Whatever its width, the bar is one line of it and the pairs are on it; nothing of it stays but what was said."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    answer_all(out, Clock(), 40)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]

    assert max(map(len, lines)) <= width
    assert all(re.search(r"\b\d+/40 pairs\b", line) for line in lines if "/" in line or "━" in line)
    assert any("about 9 s left" in line for line in lines) is (width >= 40)
    assert any("tokens/s, 1 error" in line for line in lines) is (width >= 200)
    assert "up and warmed" in text


def test_a_work_inside_another_shares_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are scored in the pauses of a run: two bars, one below the other, and both are gone afterwards."""
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen(Terminal())
    with screen.track("pairs", 10) as outer:
        with screen.track("answers embedded", 5) as inner:
            inner.advance(5)
            outer.advance()
        assert screen._bar is not None
        assert [task.description for task in screen._bar.tasks] == ["pairs"]
    assert screen._bar is None


def test_a_dumb_terminal_has_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cursor cannot move, nothing is drawn."""
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    answer_all(out, Clock(), 10)

    assert "\x1b" not in out.getvalue()
    assert len(out.getvalue().splitlines()) == 1 + LINES


def test_an_error_takes_the_bar_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the work gives the terminal back."""
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen(Terminal())

    with pytest.raises(RuntimeError), screen.track("pairs", 10):
        raise RuntimeError
    assert screen._bar is None
