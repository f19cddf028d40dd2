"""Where weights come from, by the way they are written: a folder, a hub's id, an address in MLflow.

Pure text; `weights` goes and looks.
"""

from __future__ import annotations

import re

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
ADDRESSES = "models:/NAME/VERSION, models:/NAME@ALIAS, models:/m-ID or runs:/RUN/PATH"
VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[0-9]{1,18})")
ALIAS = re.compile(r"models:/(?P<name>[^/@]+)@(?P<alias>[\w-]+)")
LOGGED = re.compile(r"models:/(?P<id>m-[0-9a-f]{32})")
RUN = re.compile(r"runs:/(?P<run>[\w-]+)/(?P<path>[^/].*)")


def is_hub_id(written: str) -> bool:
    """Whether a hub could have a model of this name: `name` or `org/name`."""
    return bool(HUB_ID.fullmatch(written))


def is_address(written: str) -> bool:
    """Whether this is meant to be an address in MLflow."""
    return written.startswith(("models:", "runs:"))


def is_known_address(written: str) -> bool:
    """Whether it is one that can be followed."""
    return any(form.fullmatch(written) for form in (VERSION, ALIAS, LOGGED, RUN))


def version_named(pinned: str) -> tuple[str, str] | None:
    """Registered model and version of an address that names both."""
    found = VERSION.fullmatch(pinned)
    return None if found is None else (found["name"], found["version"])
