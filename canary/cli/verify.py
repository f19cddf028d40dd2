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
    command = add_command(
        commands, "verify", "check that a run's files and history are as they were written", "canary verify runs/R"
    )
    command.add_argument("run", type=Path, help="run directory")
    command.add_argument("--public-key", type=Path, metavar="FILE", help="the run must be signed with this key (PEM)")
    command.set_defaults(command=_verify)


def _verify(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.verify import verify_run  # noqa: PLC0415

    found = verify_run(arguments.run, public_key=arguments.public_key)
    for problem in (*found.problems, *found.gone):
        print(problem, file=err)
    if not found.files:
        signed = f", and signed with {arguments.public_key}" if arguments.public_key and not found.signature else ""
        print(f"{arguments.run}: every file is as it was written{signed}", file=out)
    return Exit.USAGE if found.problems else Exit.OK
