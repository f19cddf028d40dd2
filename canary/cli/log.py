"""`canary log`: take a finished run to MLflow."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command, add_tracking_option, uri_of
from canary.cli.status import Exit

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands, "log", "take a finished run to MLflow, or complete what is there of it", "canary log runs/R"
    )
    command.add_argument("run", type=Path, help="run directory; nothing in it is changed")
    add_tracking_option(command)
    command.add_argument("--experiment", help="default: the pipeline's, else canary-gate")
    command.set_defaults(command=_log)


def _log(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:  # noqa: ARG001 - a command's signature
    from canary.run.publish import log_run  # noqa: PLC0415

    for sentence in log_run(arguments.run, uri=uri_of(arguments), experiment=arguments.experiment):
        print(sentence, file=out)
    return Exit.OK
