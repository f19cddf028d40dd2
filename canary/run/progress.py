"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from canary.protocols import Answers

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

LINES = 10
"""Plain lines over a whole run."""


class Progress:
    """Counts answered pairs; use it with `with`."""

    def __init__(self, total: int, *, done: int, out: TextIO) -> None:
        self._total, self._done, self._errors = total, done, 0
        self._out, self._started, self._stack = out, time.monotonic(), ExitStack()
        self._bar: Bar | None = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self._out.isatty():
            self._bar = self._stack.enter_context(_bar(self._out))
            self._task = self._bar.add_task("pairs", total=self._total, completed=self._done, errors=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def say(self, sentence: str) -> None:
        """A line that stays, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(sentence, highlight=False, markup=False)
        else:
            print(sentence, file=self._out, flush=True)

    def advance(self, answers: Answers) -> None:
        """One more pair was answered by both arms."""
        self._done += 1
        self._errors += sum(answer is not None and answer.error is not None for answer in answers)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, errors=self._errors)
        elif self._done == self._total or self._done * LINES // self._total > (self._done - 1) * LINES // self._total:
            elapsed = time.monotonic() - self._started
            print(
                f"{self._done}/{self._total} pairs, {self._errors} errors, {elapsed:.0f} s", file=self._out, flush=True
            )


def _bar(out: TextIO) -> Bar:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar_  # noqa: PLC0415

    columns = (
        BarColumn(), MofNCompleteColumn(), TextColumn("pairs, {task.fields[errors]} errors"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    return Bar_(*columns, console=Console(file=out, stderr=True), transient=True)
