"""What the process's exit status means."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from canary.run.recorded import Judged


class Exit(enum.IntEnum):
    """The process's exit status; the epilog of `canary --help` says what each means."""

    OK = 0
    """Promote, a verdict that --fail-on lets pass, or a command that did what it was asked."""
    ROLLBACK = 1
    USAGE = 2
    HOLD = 3
    BROKEN = 4
    INTERRUPTED = 130
    """128 and the number of SIGINT, as shells have it."""


def status_of(judged: Judged, fail_on: str) -> int:
    """The exit status of a verdict; `fail_on` maps verdicts only."""
    from canary.records import Decision  # noqa: PLC0415

    fails = {"rollback": {Decision.ROLLBACK}, "hold": {Decision.ROLLBACK, Decision.HOLD}, "never": set[Decision]()}
    decision = judged.verdict.verdict
    if decision not in fails[fail_on]:
        return Exit.OK
    return Exit.ROLLBACK if decision is Decision.ROLLBACK else Exit.HOLD
