"""Progress of long work: a bar on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from canary.pace import Pace, duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

LINES = 10
"""Plain lines over all of one work."""
SOON_S = 5.0
"""Work that is done sooner says nothing, where it is not the run itself."""
ROOMY, NARROW = 100, 60
"""Columns of a terminal that has room for everything, or for little more than the numbers."""
OTHERS = 12
"""Columns of the time that has passed, and of the gaps between columns."""

Clock = Callable[[], float]


class Screen:
    """Where a run says how far it is."""

    def __init__(self, out: TextIO, clock: Clock = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._bar: Bar | None = None

    def say(self, sentence: str) -> None:
        """A line that stays, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(sentence, highlight=False, markup=False)
        else:
            print(sentence, file=self._out, flush=True)

    @contextmanager
    def track(self, what: str, total: int, *, done: int = 0, soon_s: float = SOON_S) -> Iterator[Tracked]:
        """Yields what to tell of each piece; one work inside another has a bar below it.

        Plain lines begin after `soon_s` seconds.
        """
        began = self._bar is None and self._out.isatty() and os.environ.get("TERM") != "dumb"
        if began:
            self._bar = _bar(self._out)
            self._bar.start()
        task = None if self._bar is None else self._bar.add_task(what, total=total, completed=done, said="")
        now = self._clock()
        try:
            yield Tracked(
                what=what, total=total, done=done, screen=self, task=task, clock=self._clock, quiet_until=now + soon_s,
                pace=Pace(now),
            )  # fmt: skip
        finally:
            if self._bar is not None and task is not None:
                self._bar.remove_task(task)
            if began and self._bar is not None:
                self._bar.stop()
                self._bar = None

    def show(self, track: Tracked, said: str) -> bool:
        """Moves a bar, with as much of what is said as its line holds; False where there is none."""
        if self._bar is None or track.task is None:
            return False
        width = self._bar.console.width
        room = width - len(f"{track.total}/{track.total} {track.what}") - _bar_width(width) - OTHERS
        said = said if len(said) <= room else said[: max(0, room - 1)] + "…"
        self._bar.update(track.task, completed=track.done, said=said if room > 1 else "")
        return True


@dataclass(slots=True, kw_only=True)
class Tracked:
    """One work, and how much of it is done."""

    what: str
    total: int
    done: int
    screen: Screen
    task: Any
    clock: Clock
    quiet_until: float
    pace: Pace

    def advance(self, count: int = 1, said: str = "") -> None:
        """So much more is done; `said` is told with it."""
        now, before = self.clock(), self.done
        self.done += count
        self.pace.add(count, now)
        left = self.pace.seconds_left(self.total - self.done, now)
        said = "; ".join(filter(None, (f"about {duration(left)} left" if left else "", said)))
        is_tenth = self.done * LINES // self.total > before * LINES // self.total
        if self.screen.show(self, said) or not is_tenth or now < self.quiet_until:
            return
        told = f", {said}" if said else ""
        self.screen.say(f"{self.done:,}/{self.total:,} {self.what}{told}")


def _bar(out: TextIO) -> Bar:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich
    from rich.progress import Progress as Bar_  # noqa: PLC0415

    console = Console(file=out, stderr=True)
    return Bar_(*_columns(console), console=console, transient=True)


def _columns(console: Console) -> Iterator[Any]:
    """As much as one line of the terminal holds."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    if _bar_width(console.width):
        yield BarColumn(bar_width=_bar_width(console.width))
    yield MofNCompleteColumn()
    yield TextColumn("{task.description}", markup=False)
    if console.width >= ROOMY:
        yield TimeElapsedColumn()
    yield TextColumn("{task.fields[said]}", markup=False)


def _bar_width(width: int) -> int:
    """Columns of the bar itself."""
    return 0 if width < NARROW else 20 if width < ROOMY else 40
