"""Weights out of MLflow: an address followed to the version it means now, its files brought here.

What a logged model holds does not change, so it is fetched once. What a run
holds may, so that is fetched anew for every plan.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from canary.digest import digest_of
from canary.errors import ConfigError
from canary.plan import Origin
from canary.source import ALIAS, LOGGED, version_named
from canary.tracking import Tracker, connected, default_store, is_default, unless_absent
from canary.weights.checkpoint import kept

READY = "READY"
UNSAID = "neither MLFLOW_TRACKING_URI nor 'mlflow.tracking_uri' of the pipeline is set"


def fetch(written: str, server: str | None, marker: str) -> tuple[Path, Origin]:
    """The folder on this machine that holds what an address in MLflow means now, and what that is.

    `server` is as for `tracking.connected`; `marker` is the file that the
    folder must have. Raises ConfigError where the server knows no such thing
    or it holds no such folder, TrackingError where the server cannot be asked.
    """
    if is_default(server) and not default_store().exists():  # to ask it would make it
        raise ConfigError(f"{written} cannot be found: {UNSAID}, and the default, {default_store()}, is not there")
    with connected(server) as tracker:
        found = _followed(tracker, written)
        is_fixed = any(LOGGED.fullmatch(each or "") for each in (found.pinned, found.source))
        name = digest_of([tracker.shown, found.pinned, found.source, marker]) if is_fixed else None
        try:
            folder, digest = kept(name, marker, lambda half: _downloaded(tracker, found.pinned, half))
        except ConfigError as error:
            raise ConfigError(f"{found.pinned} of MLflow at {tracker.shown} {error}") from None
    return folder, found.model_copy(update={"sha256": digest})


def _followed(tracker: Tracker, written: str) -> Origin:
    """The address with its alias replaced by the version it points at."""
    alias = ALIAS.fullmatch(written)
    if alias is not None:
        version = unless_absent(lambda: tracker.client.get_model_version_by_alias(alias["name"], alias["alias"]))
        return _version(tracker, written, version, alias["alias"])
    named = version_named(written)
    if named is not None:
        return _version(tracker, written, unless_absent(lambda: tracker.client.get_model_version(*named)))
    return Origin(written=written, pinned=written)


def _version(tracker: Tracker, written: str, version: Any, alias: str | None = None) -> Origin:
    if version is None:
        default = f" (the default: {UNSAID})" if tracker.is_default else ""
        raise ConfigError(f"{written} is unknown to MLflow at {tracker.shown}{default}")
    pinned = f"models:/{version.name}/{version.version}"
    if version.status != READY:
        raise ConfigError(f"{pinned} must be READY in MLflow at {tracker.shown} (got {version.status})")
    return Origin(written=written, pinned=pinned, alias=alias, version=str(version.version), source=version.source)


def _downloaded(tracker: Tracker, address: str, folder: Path) -> Path:
    import mlflow

    told = {"artifact_uri": address, "dst_path": str(folder), "tracking_uri": tracker.uri, "registry_uri": tracker.uri}
    found = unless_absent(lambda: mlflow.artifacts.download_artifacts(**told))
    if found is None:
        raise ConfigError("must hold files (got none)")
    return Path(found)
