"""`canary fetch`: bring the run of a submitted job back."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command, add_output_options, report
from canary.cli.status import Exit

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands,
        "fetch",
        "bring the run of a submitted job back",
        "canary fetch raysubmit_1a2b --address http://head:8265",
    )
    command.add_argument("job", help="what canary submit printed")
    add_cluster_options(command)
    add_output_options(command, run_directory=True)
    command.set_defaults(command=_fetch)


def add_cluster_options(command: argparse.ArgumentParser) -> None:
    """Where the cluster is, and where its runs are kept."""
    command.add_argument(
        "--address",
        default=os.environ.get("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:8265"),
        help="the head node's dashboard (default: $RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265)",
    )
    command.add_argument("--runs", type=Path, help="folder of run directories (default: runs)")


def bring_back(job: str, arguments: argparse.Namespace, out: TextIO, err: TextIO, *, followed: bool = False) -> int:
    """Fetch and report; the exit status is as if the run had been here.

    A log that was `followed` is not shown again.
    """
    from canary.run.submit import fetch  # noqa: PLC0415

    returned = fetch(job, address=arguments.address, runs=arguments.runs or Path("runs"))
    if returned.run is not None:
        again = f"--resume {shlex.quote(str(returned.run))}"
        there = f"canary submit {again} --address {arguments.address}"
        advice = "" if returned.judged else f" (it was cut off: canary run {again}, or {there})"
        print(f"run: {returned.run}{advice}", file=err)
    if returned.judged is not None:
        return report(returned.judged, arguments, out, err)
    why = returned.message if followed else returned.log or returned.message
    says = "it said last:" if why else "its log says why" if followed else "its log is empty"
    print(f"canary: job {job} ended without a verdict (exit {returned.status}); {says}", file=err)
    for line in why:
        print(f"  {line}", file=err)
    return returned.status if returned.status in (Exit.USAGE, Exit.INTERRUPTED) else Exit.BROKEN


def _fetch(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    return bring_back(arguments.job, arguments, out, err)
