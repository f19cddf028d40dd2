"""Publish a finished run later, or once more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from canary.destination import Tracking
from canary.evaluate import evaluate
from canary.evidence import stored_digests
from canary.reporters.mlflow import publish
from canary.run.verify import load_whole


def log_run(path: Path, *, uri: str | None, experiment: str | None) -> Iterator[str]:
    """Take a run to MLflow, where its plan says or where it is told; sentences for whoever watches.

    Raises EvidenceError where the run is not what its seal says, TrackingError
    where the server does not take it.
    """
    plan, evidence = load_whole(path)
    tracking = Tracking(
        tracking_uri=plan.mlflow.tracking_uri if uri is None else uri, experiment=experiment or plan.mlflow.experiment
    )
    verdict = evaluate(evidence, plan, stored_digests(path))
    yield from publish(path, verdict, evidence, plan.model_copy(update={"mlflow": tracking}))
