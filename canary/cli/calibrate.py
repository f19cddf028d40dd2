"""`canary calibrate`: measure the bench itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command, print_record
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
    noise.add_argument("--again", type=Path, metavar="FILE", help="recorded baselines: a second recording of it")
    noise.add_argument("--runs", type=Path, default=Path("runs"), help="folder of run directories (default: runs)")
    noise.add_argument("--out", type=Path, metavar="FILE", help="where to (default: <pipeline>.noise.json beside it)")
    noise.set_defaults(command=_calibrate_noise)


def _calibrate_noise(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.calibrate import calibrate_noise, render_calibration  # noqa: PLC0415

    calibrated = calibrate_noise(
        arguments.pipeline, runs=arguments.runs, out=arguments.out, again=arguments.again, err=err
    )
    print(render_calibration(calibrated), file=out)
    print_record(calibrated.run, calibrated.seal, err)
    return Exit.OK
