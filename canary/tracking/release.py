"""A release's identity in MLflow: a logged model without its weights, found by the release's digest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from canary.tracking.connection import text_for_mlflow

DIGEST = "gate.digest"
"""Tag of a logged model and of a model's version: the digest of the release it is."""


def experiment_of(client: Any, name: str) -> str:
    """The experiment's id; two that make it at once get the same one."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def logged_model(
    client: Any, experiment_id: str, name: str, digest: str, release: Mapping[str, Any], run_id: str | None = None
) -> str:
    """The id of a release's logged model: one per digest in an experiment, however often it is gated."""
    import mlflow
    from mlflow.entities import LoggedModelStatus

    found = client.search_logged_models([experiment_id], f"tags.`{DIGEST}` = '{digest}'", max_results=1)
    if not found:
        params = {key: text_for_mlflow(str(value), 500) for key, value in release.items()}
        model = mlflow.create_external_model(
            re.sub(r"[^\w -]", "-", text_for_mlflow(name, 100)).strip() or "release",
            source_run_id=run_id,
            tags={DIGEST: digest},
            params=params,
            experiment_id=experiment_id,
        )
        return str(model.model_id)
    if found[0].status != LoggedModelStatus.READY:
        client.finalize_logged_model(found[0].model_id, LoggedModelStatus.READY)
    return str(found[0].model_id)
