"""`canary init`: put a workspace into a folder."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command
from canary.cli.status import Exit

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(commands, "init", "put evals/, golden_sets/ and pipelines/ into a folder", "canary init .")
    command.add_argument("folder", type=Path, nargs="?", default=Path(), help="where to (default: here)")
    command.add_argument("--force", action="store_true", help="overwrite files that are already there")
    command.set_defaults(command=_init)


def _init(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:  # noqa: ARG001 - a command
    from canary.scaffold import init  # noqa: PLC0415

    written = init(arguments.folder, force=arguments.force)
    print(f"{len(written)} files written to {arguments.folder}: evals/, golden_sets/, pipelines/", file=out)
    there = "" if arguments.folder == Path() else f"cd {shlex.quote(str(arguments.folder))} && "
    print(f"next: {there}canary run        (judges the recorded example)", file=out)
    return Exit.OK
