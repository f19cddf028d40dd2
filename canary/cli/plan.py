"""`canary plan`: what a pipeline can detect, before a token is spent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command, add_pipeline_option, pipeline_of, stage_of
from canary.cli.status import Exit

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands,
        "plan",
        "check a pipeline and what it can detect, before a token is spent",
        "canary plan pipelines/quickstart-good.yaml",
    )
    add_pipeline_option(command)
    command.add_argument(
        "--allow-underpowered", action="store_true", help="exit with 0 also where no candidate could pass"
    )
    command.add_argument("--no-early-stop", action="store_true", help="for a run that asks every case")
    command.add_argument("--calibration", type=Path, help="a noise file in place of the pipeline's own")
    command.add_argument(
        "--rate", type=_rate, metavar="R", help="requests/s that production serves: adds the capacity it takes"
    )
    command.set_defaults(command=_plan)


def _plan(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:  # noqa: ARG001 - a command
    from canary.run.foresee import foresee  # noqa: PLC0415
    from canary.run.foresight import render_foresight  # noqa: PLC0415

    foresight = foresee(
        pipeline_of(arguments),
        stage=stage_of(arguments),
        calibration=arguments.calibration,
        early_stop=not arguments.no_early_stop,
        rate=arguments.rate,
    )
    print(render_foresight(foresight), file=out)
    return Exit.OK if foresight.can_pass or arguments.allow_underpowered else Exit.USAGE


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0 (got {text})")
    return rate
