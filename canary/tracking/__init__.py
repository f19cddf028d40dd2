"""What the MLflow publisher and the registry share: the connection, and a release's identity there."""

from __future__ import annotations

from canary.tracking.connection import (
    Tracker,
    connected,
    default_store,
    is_default,
    redact,
    text_for_mlflow,
    tracking_uri,
    unless_absent,
    without_credentials,
)
from canary.tracking.release import DIGEST, experiment_of, logged_model

__all__ = [
    "DIGEST",
    "Tracker",
    "connected",
    "default_store",
    "experiment_of",
    "is_default",
    "logged_model",
    "redact",
    "text_for_mlflow",
    "tracking_uri",
    "unless_absent",
    "without_credentials",
]
