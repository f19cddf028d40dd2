"""`canary run`: drive both releases and judge them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from canary.cli.options import (
    add_command,
    add_labels_option,
    add_output_options,
    add_pipeline_option,
    pipeline_of,
    print_record,
    report,
    require_alone,
    stage_of,
)

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands,
        "run",
        "drive both releases of a pipeline and judge them",
        "canary run pipelines/quickstart-good.yaml\n  canary run --resume runs/R",
    )
    add_pipeline_option(command)
    command.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with a run that was cut off; what both arms answered is not asked again",
    )
    command.add_argument(
        "--no-early-stop",
        action="store_true",
        help="ask every case, even once it is certain that the candidate is worse",
    )
    add_labels_option(command)
    command.add_argument("--policy", type=Path, help="another policy file than the pipeline's")
    command.add_argument(
        "--base-ref",
        metavar="REF",
        help="judge by this commit's suite, policy, golden sets and baseline; only the candidate is taken from here",
    )
    command.add_argument("--runs", type=Path, help="folder of run directories (default: runs)")
    command.add_argument(
        "--sign-key",
        type=Path,
        metavar="FILE",
        help="sign the record with this Ed25519 key (PEM; default: CANARY_SIGN_KEY, where that is set)",
    )
    add_output_options(command, run_directory=True)
    command.set_defaults(command=_run)


def _run(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.execute import resume_run, start_run  # noqa: PLC0415
    from canary.run.load import Overrides  # noqa: PLC0415

    key = _key(arguments)
    if arguments.resume is not None:
        require_alone(arguments, "stage", "runs", "base-ref", "no-early-stop")
        overrides = Overrides(labels=arguments.labels, policy=arguments.policy)
        finished = resume_run(arguments.resume, arguments.pipeline, err=err, overrides=overrides, key=key)
    else:
        runs = arguments.runs or Path("runs")
        overrides = Overrides(
            early_stop=not arguments.no_early_stop,
            labels=arguments.labels,
            policy=arguments.policy,
            base_ref=arguments.base_ref,
        )
        pipeline, stage = pipeline_of(arguments), stage_of(arguments)
        finished = start_run(pipeline, stage=stage, runs=runs, err=err, key=key, overrides=overrides)
    status = report(finished.judged, arguments, out, err)
    print_record(finished.path, finished.seal, err)
    return status


def _key(arguments: argparse.Namespace) -> Any:
    """The key to sign with, read before a token is spent; None where there is none."""
    named = arguments.sign_key or os.environ.get("CANARY_SIGN_KEY")
    if not named:
        return None
    from canary.signature import load_signing_key  # noqa: PLC0415

    return load_signing_key(Path(named))
