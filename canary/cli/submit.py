"""`canary submit`: run a pipeline on a cluster."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TextIO

from canary.cli.fetch import add_cluster_options, bring_back
from canary.cli.options import add_command, add_output_options, add_pipeline_option, pipeline_of, stage_of
from canary.cli.status import Exit

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands,
        "submit",
        "run a pipeline on a Ray cluster, as if it were here",
        "canary submit pipelines/p.yaml --address http://head:8265",
    )
    add_pipeline_option(command)
    add_cluster_options(command)
    command.add_argument("--no-wait", action="store_true", help="print the job's id and leave; see canary fetch")
    add_output_options(command, run_directory=True)
    command.set_defaults(command=_submit)


def _submit(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.submit import follow, submit  # noqa: PLC0415

    address = arguments.address
    pipeline, stage = pipeline_of(arguments), stage_of(arguments)
    job = submit(pipeline, address=address, stage=stage, fail_on=arguments.fail_on, err=err)
    print(f"job: {job} (should this end first: canary fetch {job} --address {address})", file=err, flush=True)
    if arguments.no_wait:
        print(job, file=out)
        return Exit.OK
    follow(job, address=address, err=err)
    return bring_back(job, arguments, out, err, followed=True)
