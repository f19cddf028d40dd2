"""Libraries that only some assertions need: missing ones are told at once."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.util import find_spec
from typing import Any

from canary.errors import MissingExtra

EXTRA = "assertions"
"""The extra that installs every library named here."""


def require(module: str, kind: str) -> None:
    """Raise MissingExtra, which names the command to install it, where a library is missing."""
    if find_spec(module) is None:
        raise MissingExtra(f"the assertion `{kind}`", EXTRA)


@cache
def library(module: str) -> Any:
    """The module, imported on first use; these libraries are untyped."""
    return importlib.import_module(module)
