"""Addresses that go into plans and messages, so that none may hold a secret."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator

CREDENTIAL = re.compile(r"auth|key|token|secret|passw|sig", re.IGNORECASE)
"""What the name of a secret has in it."""


def holds_credentials(url: str) -> bool:
    """Whether a URL names a user, a password or a key; true where it is no URL at all."""
    try:
        parts = urlsplit(url)
        return bool(parts.username or parts.password or any(map(CREDENTIAL.search, parse_qs(parts.query))))
    except ValueError:
        return True


def _open_url(value: str) -> str:
    """A URL goes into plans and messages, so it must not hold a secret."""
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError("'base_url' must be a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("'base_url' must start with http:// or https:// and name a host")
    if holds_credentials(value):
        raise ValueError("'base_url' must hold no credentials: they go into 'api_key' or 'headers'")
    return value


BaseUrl = Annotated[str, AfterValidator(_open_url)]
