"""`file://` in an assertion is relative to the file that the assertion stands in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from canary.document import display

_FILE = "file://"
_KEYS = ("value", "transform")
"""The keys that may name a file."""


def anchored(spec: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The spec with its files as paths from the working folder, or absolute outside of it."""
    return {key: _anchored(key, value, folder) for key, value in spec.items()}


def _anchored(key: str, value: Any, folder: Path) -> Any:
    if key == "assert" and isinstance(value, list | tuple):
        return [anchored(member, folder) if isinstance(member, Mapping) else member for member in value]
    if key not in _KEYS or not isinstance(value, str) or not value.startswith(_FILE):
        return value
    return _FILE + display((folder / value.removeprefix(_FILE)).resolve())
