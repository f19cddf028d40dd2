"""`canary history`: past runs of a baseline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command
from canary.cli.status import Exit

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands, "history", "show past runs of a baseline, and where they left their limits", "canary history"
    )
    command.add_argument("runs", type=Path, nargs="?", default=Path("runs"), help="folder of runs (default: runs)")
    command.set_defaults(command=_history)


def _history(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.history import read_history, render_history  # noqa: PLC0415

    history = read_history(arguments.runs)
    for problem in history.problems:
        print(f"canary: {problem}", file=err)
    print(render_history(history), file=out)
    return Exit.OK
