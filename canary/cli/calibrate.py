"""`canary calibrate`: measure the bench itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import COMPARED, add_command, print_record
from canary.cli.status import Exit

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(commands, "calibrate", "measure the bench itself", "canary calibrate noise pipelines/p.yaml")
    kinds = command.add_subparsers(metavar="what", required=True)
    noise = add_command(
        kinds,
        "noise",
        "run a pipeline's baseline against itself and keep how much it differs",
        "canary calibrate noise pipelines/p.yaml",
    )
    noise.add_argument("pipeline", type=Path, help="pipeline file; plan and run then find its noise by themselves")
    noise.add_argument("--stage", choices=COMPARED, default="staging", help="whose cases are asked (default: staging)")
    noise.add_argument("--again", type=Path, metavar="FILE", help="recorded baselines: a second recording of it")
    noise.add_argument("--runs", type=Path, default=Path("runs"), help="folder of run directories (default: runs)")
    noise.add_argument("--out", type=Path, metavar="FILE", help="where to (default: <pipeline>.noise.json beside it)")
    noise.set_defaults(command=_calibrate_noise)
    _add_judge(kinds)


def _add_judge(kinds: Commands) -> None:
    judge = add_command(
        kinds,
        "judge",
        "hold a suite's judges against people's labels and keep how far they agree",
        "canary calibrate judge pipelines/p.yaml --labels labels.jsonl",
    )
    judge.add_argument("suite", type=Path, metavar="SUITE_OR_PIPELINE", help="run then finds the result by itself")
    judge.add_argument(
        "--labels", type=Path, metavar="FILE", required=True, help="JSONL or CSV: id, metric, label, output, ..."
    )
    judge.add_argument("--out", type=Path, metavar="FILE", help="where to (default: <file>.judge.json beside it)")
    judge.set_defaults(command=_calibrate_judge)


def _calibrate_judge(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.calibrate_judge import calibrate_judge, render_judges  # noqa: PLC0415

    measured = calibrate_judge(arguments.suite, labels=arguments.labels, out=arguments.out, err=err)
    print(render_judges(measured), file=out)
    return Exit.OK


def _calibrate_noise(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.calibrate import calibrate_noise, render_calibration  # noqa: PLC0415

    calibrated = calibrate_noise(
        arguments.pipeline,
        stage=arguments.stage,
        runs=arguments.runs,
        out=arguments.out,
        again=arguments.again,
        err=err,
    )
    print(render_calibration(calibrated), file=out)
    print_record(calibrated.run, calibrated.seal, err)
    return Exit.OK
