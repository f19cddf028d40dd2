"""`canary rollback`: make the previous champion champion again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command, add_registry_options, names_of
from canary.cli.status import Exit

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands,
        "rollback",
        "make the previous champion champion again",
        'canary rollback --model support --reason "wrong prices"',
    )
    add_registry_options(command)
    command.add_argument("--reason", default="no reason given", help="is written down")
    command.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    command.set_defaults(command=_rollback)


def _rollback(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:  # noqa: ARG001 - a command's signature
    from canary.run.promote import roll_back  # noqa: PLC0415

    for sentence in roll_back(names_of(arguments), runs=arguments.runs, why=arguments.reason):
        print(sentence, file=out)
    return Exit.OK
