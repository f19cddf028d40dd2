"""`canary compare`: judge two files of recorded outputs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command, add_output_options, report
from canary.errors import UsageError

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
    traffic = command.add_argument_group(
        "routed traffic", "two files of responses recorded while requests were routed at random (a canary)"
    )
    traffic.add_argument("--traffic", action="store_true", help="nothing is paired: compare the two streams")
    traffic.add_argument(
        "--look", action="store_true", help="the log still grows: roll back or promote only on what may be asked again"
    )
    traffic.add_argument(
        "--share", type=float, help="the candidate's share, if constant (default: 'share' of each line)"
    )
    traffic.add_argument("--by", choices=("stratum", "tenant"), help="what quality is split by (default: stratum)")
    add_output_options(command)
    command.set_defaults(command=_compare)


def _compare(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    if arguments.traffic:
        return _compare_traffic(arguments, out, err)
    _require_absent(arguments, ("look", "share", "by"), "needs --traffic")
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


def _compare_traffic(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.traffic import compare_traffic_files  # noqa: PLC0415

    beside = "must not stand beside --traffic, where nobody chose the prompts"
    _require_absent(arguments, ("golden", "suite", "calibration"), beside)
    judged = compare_traffic_files(
        arguments.baseline,
        arguments.candidate,
        growing=arguments.look,
        share=arguments.share,
        by=arguments.by or "stratum",
        policy=arguments.policy,
    )
    return report(judged, arguments, out, err)


def _require_absent(arguments: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    """Raise UsageError for options that mean nothing here."""
    given = [name for name in names if getattr(arguments, name) not in (None, False)]
    if given:
        raise UsageError([f"'--{name}' {why}" for name in given])
