"""Publish a finished run later, or once more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from canary.destination import Tracking
from canary.errors import ConfigError
from canary.evaluate import evaluate
from canary.evidence import RunDirectory, check_files, load_run, read_seal, stored_digests
from canary.reporters.mlflow import publish


def log_run(path: Path, *, uri: str | None, experiment: str | None) -> Iterator[str]:
    """Take a run to MLflow, where its plan says or where it is told; sentences for whoever watches.

    Raises EvidenceError where the run is not what its seal says, TrackingError
    where the server does not take it.
    """
    read_seal(RunDirectory(path))
    problems = check_files(path)
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    plan, evidence = load_run(path)
    tracking = Tracking(
        tracking_uri=plan.mlflow.tracking_uri if uri is None else uri, experiment=experiment or plan.mlflow.experiment
    )
    verdict = evaluate(evidence, plan, stored_digests(path))
    yield from publish(path, verdict, evidence, plan.model_copy(update={"mlflow": tracking}))
