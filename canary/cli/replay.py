"""`canary replay`: judge a finished run again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command, add_labels_option, add_output_options, report

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands, "replay", "judge a finished run again, perhaps under another policy", "canary replay runs/R"
    )
    command.add_argument("run", type=Path, help="run directory; nothing in it is changed")
    command.add_argument("--policy", type=Path, help="what if: another policy file")
    add_labels_option(command)
    add_output_options(command)
    command.set_defaults(command=_replay)


def _replay(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.again import judge_again  # noqa: PLC0415

    return report(judge_again(arguments.run, policy=arguments.policy, labels=arguments.labels), arguments, out, err)
