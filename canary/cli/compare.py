"""`canary compare`: judge two files of recorded outputs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command, add_output_options, report

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands,
        "compare",
        "judge two files of recorded outputs",
        "canary compare baseline.jsonl candidate.jsonl --golden prompts.jsonl",
    )
    command.add_argument("baseline", type=Path, help="JSONL, a line per response: id and output are enough")
    command.add_argument("candidate", type=Path, help="the same for the candidate")
    command.add_argument("--golden", type=Path, help="golden set: a folder or a prompts.jsonl")
    command.add_argument("--policy", type=Path, help="policy file (default: the built-in policy)")
    command.add_argument("--suite", type=Path, help="suite file: assertions, strata, clusters")
    command.add_argument("--calibration", type=Path, help="noise file of canary calibrate noise")
    add_output_options(command)
    command.set_defaults(command=_compare)


def _compare(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.recorded import compare_files  # noqa: PLC0415

    judged = compare_files(
        arguments.baseline,
        arguments.candidate,
        golden=arguments.golden,
        policy=arguments.policy,
        suite=arguments.suite,
        calibration=arguments.calibration,
        err=err,
    )
    return report(judged, arguments, out, err)
