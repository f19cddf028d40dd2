"""A connection to MLflow that cannot hang a run, nor tell what it was told in confidence."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from canary.errors import CanaryError, MissingExtra, TrackingError

BOUNDS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "120",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""What holds while connected unless the environment says otherwise: a dead server costs about a minute, not hours."""

_SILENT = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
"""Bars are for terminals."""

_SECRET = re.compile(r"PASSW|TOKEN|SECRET|API_?KEY|ACCESS_?KEY|CREDENTIAL", re.IGNORECASE)
_TALKERS = ("mlflow", "alembic", "urllib3.connectionpool")


@dataclass(frozen=True, slots=True)
class Tracker:
    """An open connection."""

    client: Any
    """`mlflow.MlflowClient`, whose registry is on the same server."""
    uri: str
    """As given: it may hold a password, so it is never shown."""
    is_default: bool = False
    """Whether nobody said which server."""

    @property
    def shown(self) -> str:
        """The server's address without credentials."""
        return without_credentials(self.uri)


def tracking_uri(named: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The server named, else MLFLOW_TRACKING_URI, else a SQLite file in the working folder."""
    return named or environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{default_store()}"


def default_store() -> Path:
    """The SQLite file that is asked where nobody says which server."""
    return Path.cwd() / "mlflow.db"


def is_default(named: str | None, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether nobody says which server."""
    return not named and not environment.get("MLFLOW_TRACKING_URI")


@contextmanager
def connected(named: str | None) -> Iterator[Tracker]:
    """MLflow within `BOUNDS`; everything is as it was afterwards.

    Raises TrackingError, without any credential in it, for whatever goes wrong
    in MLflow inside the block; ConfigError and the like pass.
    """
    uri, unsaid = tracking_uri(named), is_default(named)
    with _environment(BOUNDS | ({} if sys.stderr.isatty() else _SILENT)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what libraries think of each other is no news to who runs a gate
        mlflow = _library()
        try:
            with _quiet(), _chosen(mlflow, uri) as client:
                yield Tracker(client, uri, is_default=unsaid)
        except CanaryError:
            raise
        except Exception as error:  # noqa: BLE001 - a library's fault must not end a run, nor tell a secret
            said = _unreached(error) or redact(f"{type(error).__name__}: {error}", uri)
            raise TrackingError(f"MLflow at {without_credentials(uri)}: {said[:600]}") from None


def _unreached(error: BaseException) -> str:
    """Why no connection came about, which libraries wrap in four messages; "" where one did."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError  # noqa: PLC0415 - only for faults

    found: BaseException | None = error
    while found is not None and not isinstance(found, NewConnectionError | ConnectTimeoutError):
        found = found.__cause__ or found.__context__
    if found is None:
        return ""
    why = getattr(found.__cause__ or found.__context__, "strerror", None) or "timed out"
    return f"cannot be reached: {why[:1].lower()}{why[1:]}"


def _library() -> Any:
    try:
        import mlflow
    except ImportError:
        raise MissingExtra("MLflow", "mlflow") from None
    return mlflow


@contextmanager
def _chosen(mlflow: Any, uri: str) -> Iterator[Any]:
    """MLflow with this server as the one it falls back on: its registry asks for it behind our back."""
    before, told = (mlflow.get_tracking_uri(), mlflow.get_registry_uri()), os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield mlflow.MlflowClient(uri, registry_uri=uri)
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
        if told is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it, and what it falls back on is no one's word


@contextmanager
def _environment(defaults: Mapping[str, str]) -> Iterator[None]:
    added = [name for name in defaults if name not in os.environ]
    os.environ.update({name: defaults[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress and retry lines of libraries: what goes wrong is said once, at the end."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def without_credentials(uri: str) -> str:
    """The address without user, password and query."""
    try:
        parts = urlsplit(uri)
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "(an address that is none)"
    if not parts.username and not parts.password and not parts.query:
        return uri
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def redact(text: str, uri: str, environment: Mapping[str, str] = os.environ) -> str:
    """A message with every secret that is known here replaced by `***`."""
    secrets = {value for name, value in environment.items() if _SECRET.search(name) and len(value) >= 4}
    for address in (uri, environment.get("MLFLOW_TRACKING_URI", "")):
        secrets |= _userinfo(address)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _userinfo(uri: str) -> set[str]:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return {uri}
    found = {part for part in (parts.password, parts.query) if part}
    if parts.username and parts.password:
        found.add(f"{parts.username}:{parts.password}")
    elif parts.username:
        found.add(parts.username)
    return found | {unquote(part) for part in found}


def text_for_mlflow(text: str, most: int | None = None) -> str:
    """Text that every store takes: no NUL, no lone surrogate, at most so many characters."""
    clean = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return clean if most is None or len(clean) <= most else clean[: most - 1] + "…"


def unless_absent(ask: Any) -> Any:
    """What was asked for; None where the server knows of none."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        code = error.error_code
        if code == "RESOURCE_DOES_NOT_EXIST" or (code == "INVALID_PARAMETER_VALUE" and "not" in str(error)):
            return None
        raise
