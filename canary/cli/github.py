"""`canary github`: what a workflow does beside the run itself."""

from __future__ import annotations

import argparse
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command
from canary.cli.status import Exit

if TYPE_CHECKING:
    from pydantic import SecretStr

    from canary.cli.options import Commands
    from canary.pipeline import Pipeline


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(
        commands, "github", "comment on pull requests from a workflow", "canary github comment runs/R"
    )
    kinds = command.add_subparsers(metavar="what", required=True)
    comment = add_command(
        kinds, "comment", "judge a finished run again and comment its verdict", "canary github comment runs/R"
    )
    comment.add_argument("run", type=Path, help="run directory; from a pull request's own job it counts as a claim")
    comment.add_argument(
        "--pr", type=int, metavar="N", help="pull request; must have the commit of the event as its head"
    )
    comment.add_argument("--rules", type=Path, metavar="PIPELINE", help="trusted pipeline whose policy judges the run")
    comment.set_defaults(command=_comment)
    failed = add_command(
        kinds, "failed", "say where a verdict would stand that there is none", "canary github failed p.yaml --status 4"
    )
    failed.add_argument("pipeline", help="pipeline file that was to be run")
    failed.add_argument("--stage", default="staging", help="default: staging")
    failed.add_argument("--status", type=int, required=True, metavar="N", help="exit status of canary run")
    failed.set_defaults(command=_failed)
    mask = add_command(kinds, "mask", "have a pipeline's secrets masked in the log", "canary github mask p.yaml")
    mask.add_argument("pipeline", type=Path, help="pipeline file")
    mask.set_defaults(command=_mask)


def _comment(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:  # noqa: ARG001 - a command
    from canary.reporters.github.comment import render  # noqa: PLC0415
    from canary.reporters.github.publish import comment, frame_of, marker_of  # noqa: PLC0415
    from canary.run.artifact import judge_artifact  # noqa: PLC0415

    judged, notes = judge_artifact(arguments.run, arguments.rules)
    said = comment(
        marker_of(judged.plan),
        lambda event: render(
            judged.verdict,
            judged.evidence,
            judged.plan,
            frame_of(event, arguments.run, notes if event.name == "workflow_run" else ()),
        ),
        arguments.pr,
    )
    print(f"canary: {said}", file=err)
    return Exit.OK


def _failed(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:  # noqa: ARG001 - a command
    from canary.reporters.github.annotate import in_repository  # noqa: PLC0415
    from canary.reporters.github.comment import marker, without_verdict  # noqa: PLC0415
    from canary.reporters.github.publish import comment, frame_of, write_summary  # noqa: PLC0415

    meanings = {2: "the command, a file or a setting is wrong", 130: "the run was interrupted"}
    reason = f"{meanings.get(arguments.status, 'the gate itself broke')} (exit {arguments.status}); the log says more"
    write_summary(without_verdict(reason, None))
    first_line = marker(in_repository(arguments.pipeline), arguments.stage)
    print(f"canary: {comment(first_line, lambda event: without_verdict(reason, frame_of(event, None)))}", file=err)
    return Exit.OK


def _mask(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:  # noqa: ARG001 - a command
    from actions_toolkit import core  # noqa: PLC0415 - needs an extra

    from canary.config import load_pipeline  # noqa: PLC0415

    with redirect_stdout(out):
        for secret in _secrets(load_pipeline(arguments.pipeline)):
            core.set_secret(secret)
    return Exit.OK


def _secrets(pipeline: Pipeline) -> tuple[str, ...]:
    """Every secret of both releases, as it goes over the wire."""
    releases = pipeline.releases.values()
    named = [secret for release in releases for secret in (getattr(release, "api_key", None), *_headers(release))]
    return tuple(sorted({secret.get_secret_value() for secret in named if secret} - {""}))


def _headers(release: object) -> tuple[SecretStr, ...]:
    return tuple(getattr(release, "headers", {}).values())
