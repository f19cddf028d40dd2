"""`canary promote`: make a tested candidate champion."""

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
        commands, "promote", "make the candidate of a run champion in MLflow", "canary promote runs/R --model support"
    )
    command.add_argument("run", type=Path, help="run directory, sealed and with verdict promote")
    add_registry_options(command)
    command.add_argument(
        "--override", metavar="REASON", help="promote against what speaks against it; the reason is written down"
    )
    command.set_defaults(command=_promote)


def _promote(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:  # noqa: ARG001 - a command's signature
    from canary.run.promote import promote  # noqa: PLC0415

    for sentence in promote(arguments.run, names_of(arguments), override=arguments.override):
        print(sentence, file=out)
    return Exit.OK
