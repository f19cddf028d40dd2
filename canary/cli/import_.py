"""`canary import`: bring in what was written elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command, add_tracking_option, uri_of
from canary.cli.status import Exit

if TYPE_CHECKING:
    from canary.cli.options import Commands
    from canary.importers.workspace import Imported


def add(commands: Commands) -> None:
    """The command and its options."""
    example = "canary import labels --from-mlflow runs/R --out labels.jsonl"
    command = add_command(commands, "import", "bring in what was written elsewhere", example)
    kinds = command.add_subparsers(metavar="what", required=True)
    labels = add_command(kinds, "labels", "read what people said of a run's answers in MLflow", example)
    labels.add_argument("--from-mlflow", type=Path, metavar="RUN", required=True, help="run directory, published")
    labels.add_argument("--out", type=Path, metavar="FILE", required=True, help="a labels file, JSONL")
    add_tracking_option(labels)
    labels.add_argument("--experiment", help="default: the pipeline's, else canary-gate")
    labels.set_defaults(command=_labels)
    _add_suites(kinds)


def _add_suites(kinds: Commands) -> None:
    for name, what in (("promptfoo", "a promptfooconfig.yaml"), ("ifeval", "IFEval's prompts, JSONL")):
        example = f"canary import {name} FILE"
        suite = add_command(kinds, name, f"read {what} into a suite and a golden set", example)
        suite.add_argument("file", type=Path, help=what)
        suite.add_argument("--out", type=Path, default=Path(), help="the workspace's folder (default: here)")
        suite.set_defaults(command=_suite, format=name)
    _add_requests(kinds)


def _add_requests(kinds: Commands) -> None:
    example = "canary import requests log.jsonl --strata-by metadata.route"
    log = add_command(kinds, "requests", "read requests that production recorded, OpenAI bodies, JSONL", example)
    log.add_argument("file", type=Path, help="a request a line, itself or under 'request' or 'body'")
    log.add_argument("--strata-by", metavar="PATH", help="where a line names its kind (default: stratum)")
    log.add_argument(
        "--sample", type=_positive, metavar="N", help="draw about N distinct requests, ten of each stratum"
    )
    log.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    log.add_argument("--out", type=Path, default=Path(), help="the workspace's folder (default: here)")
    log.set_defaults(command=_requests)


def _requests(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.importers.requests import read_requests  # noqa: PLC0415

    by, sample = arguments.strata_by, arguments.sample
    imported = read_requests(arguments.file, by=by, sample=sample, seed=arguments.seed)
    status = _written(imported, arguments.out, out, err)
    if imported.pipeline is not None:
        path = arguments.out / "pipelines" / f"{imported.name}.yaml"
        print(f"next: say what the candidate is in {path}, then canary plan {path} --stage shadow", file=out)
    return status


def _suite(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.importers.ifeval import read_ifeval  # noqa: PLC0415
    from canary.importers.promptfoo import read_promptfoo  # noqa: PLC0415

    imported = {"promptfoo": read_promptfoo, "ifeval": read_ifeval}[arguments.format](arguments.file)
    return _written(imported, arguments.out, out, err)


def _written(imported: Imported, folder: Path, out: TextIO, err: TextIO) -> int:
    from canary.importers.workspace import write  # noqa: PLC0415

    written = write(imported, folder)
    for sentence in imported.notes:
        print(f"canary: {sentence}", file=err)
    for sentence in imported.left_out:
        print(f"canary: left out: {sentence}", file=err)
    print(f"{len(imported.cases)} cases imported; written: {', '.join(map(str, written))}", file=out)
    return Exit.HOLD if imported.left_out else Exit.OK


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1 (got {text})")
    return int(text)


def _labels(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.people import import_labels  # noqa: PLC0415

    found = import_labels(arguments.from_mlflow, arguments.out, uri=uri_of(arguments), experiment=arguments.experiment)
    for sentence in found.left_out:
        print(f"canary: left out: {sentence}", file=err)
    print(f"{len(found.rows)} labels written to {arguments.out}", file=out)
    return Exit.OK
