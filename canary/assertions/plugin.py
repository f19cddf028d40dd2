"""Assertions from modules that a suite names under `plugins:`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from canary.assertions.excerpt import excerpt
from canary.assertions.function import imported
from canary.assertions.table import ASSERTIONS
from canary.errors import PluginError

_NAME = re.compile(r"(?!not-)[a-z0-9][a-z0-9_.:-]*")


def load_plugins(modules: Sequence[str]) -> dict[str, type]:
    """The assertions of all modules together, each from its `ASSERTIONS` table.

    PluginError where a module cannot be imported, has no such table, or names
    what another one or this package has already named.
    """
    table: dict[str, type] = {}
    owner = dict.fromkeys(ASSERTIONS, "canary.assertions")
    for module in modules:
        for name, cls in _table_of(module).items():
            if name in owner:
                raise PluginError(f"assertion {name!r} is defined twice: in {owner[name]} and in {module}")
            table[name], owner[name] = cls, module
    return table


def plugin_version(module: str) -> str:
    """What tells this plugin from another of its name: its version, else a digest of its file."""
    found = importlib.import_module(module)
    own = getattr(found, "__version__", None)
    if isinstance(own, str):
        return own
    try:
        return version(module.partition(".")[0])
    except PackageNotFoundError:
        source = getattr(found, "__file__", None)
        return f"sha256:{sha256(Path(source).read_bytes()).hexdigest()[:16]}" if source else "unknown"


def _table_of(module: str) -> Mapping[str, type]:
    found = getattr(imported(lambda: importlib.import_module(module), f"plugin {module}"), "ASSERTIONS", None)
    if not isinstance(found, Mapping):
        raise PluginError(f"plugin {module} must have a table ASSERTIONS: name -> class (got {excerpt(found)})")
    for name, cls in found.items():
        _require_entry(module, name, cls)
    return found


def _require_entry(module: str, name: Any, cls: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(f"plugin {module}: {name!r} must be lower case, digits and dashes, without 'not-' before it")
    if not isinstance(cls, type) or not callable(getattr(cls, "__call__", None)):  # noqa: B004 - of instances
        raise PluginError(f"plugin {module}: {name!r} must be a class with __call__ (got {excerpt(cls)})")
