"""Where a pipeline's runs are published, and under which names its releases are promoted."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from canary.address import holds_credentials
from canary.written import Written

NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,199}$"


def _open_uri(value: str) -> str:
    """It goes into plans and messages, so it must not hold a secret."""
    if holds_credentials(value):
        raise ValueError(
            "'mlflow.tracking_uri' must hold no credentials: leave it out and set MLFLOW_TRACKING_URI, or set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    return value


class Tracking(Written):
    """Which MLflow server gets a run."""

    tracking_uri: Annotated[str, Field(min_length=1), AfterValidator(_open_uri)] | None = Field(
        None, description="null: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db; credentials only in the environment"
    )
    experiment: Annotated[str, Field(min_length=1, max_length=500)] = "canary-gate"


class Registry(Written):
    """The registered names that `canary promote` moves."""

    model: Annotated[str, Field(pattern=NAME)] | None = Field(None, description="registered model; null: none")
    prompt: Annotated[str, Field(pattern=NAME)] | None = Field(None, description="registered prompt; null: none")
