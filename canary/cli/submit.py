"""`canary submit`: run a pipeline on a cluster."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.fetch import add_cluster_options, bring_back
from canary.cli.options import add_command, add_output_options, add_pipeline_option, require_alone, stage_of
from canary.cli.status import Exit
from canary.errors import UsageError

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands,
        "submit",
        "run a pipeline on a Ray cluster, as if it were here",
        "canary submit pipelines/p.yaml --address http://head:8265\n"
        "  canary submit --resume runs/R --address http://head:8265",
    )
    add_pipeline_option(command, "pipeline file, in the current folder, whose runner is 'ray'")
    command.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with a run that was cut off, here or there; what both arms answered is not asked again",
    )
    add_cluster_options(command)
    command.add_argument("--no-wait", action="store_true", help="print the job's id and leave; see canary fetch")
    add_output_options(command, run_directory=True)
    command.set_defaults(command=_submit)


def _submit(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.submit import follow  # noqa: PLC0415

    job = _resumed(arguments, err) if arguments.resume else _begun(arguments, err)
    kept = f" --runs {shlex.quote(str(arguments.runs))}" if arguments.runs else ""
    again = f"canary fetch {job} --address {arguments.address}{kept}"
    print(f"job: {job} (should this end first: {again})", file=err, flush=True)
    if arguments.no_wait:
        print(job, file=out)
        return Exit.OK
    follow(job, address=arguments.address, err=err)
    return bring_back(job, arguments, out, err, followed=True)


def _begun(arguments: argparse.Namespace, err: TextIO) -> str:
    from canary.run.submit import submit  # noqa: PLC0415

    if arguments.pipeline is None:
        raise UsageError("name the pipeline to submit, or the run to go on with: canary submit --resume RUN")
    stage, fail_on = stage_of(arguments), arguments.fail_on
    return submit(arguments.pipeline, address=arguments.address, stage=stage, fail_on=fail_on, err=err)


def _resumed(arguments: argparse.Namespace, err: TextIO) -> str:
    """A run comes back to where it lies."""
    from canary.run.submit import submit_resumed  # noqa: PLC0415

    require_alone(arguments, "stage", "runs")
    run = arguments.resume.resolve()  # whose name and folder `.` and a link do not say
    arguments.runs = run.parent
    address, fail_on = arguments.address, arguments.fail_on
    return submit_resumed(run, arguments.pipeline, address=address, fail_on=fail_on, err=err)
