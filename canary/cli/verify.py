"""`canary verify`: is a run what it wrote?."""

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
    command = add_command(commands, "verify", "check that a run's files are the ones it wrote", "canary verify runs/R")
    command.add_argument("run", type=Path, help="run directory")
    command.set_defaults(command=_verify)


def _verify(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.evidence import verify  # noqa: PLC0415

    problems = verify(arguments.run)
    print(*problems, sep="\n", file=err, end="\n" if problems else "")
    if not problems:
        print(f"{arguments.run}: every file is as it was written", file=out)
    return Exit.USAGE if problems else Exit.OK
