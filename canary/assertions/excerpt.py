"""How hostile text is shown: short, on one line, nothing left to interpret."""

from __future__ import annotations

from typing import Any

SHOWN = 80
"""Characters of an output that a reason may carry."""

LONGEST = 400
"""Characters of a whole reason."""


def excerpt(value: Any, limit: int = SHOWN) -> str:
    """The start of `repr(value)`: control characters and surrogates escaped."""
    if isinstance(value, str):
        return repr(value) if len(value) <= limit else repr(value[:limit]) + "..."
    return shorten(repr(value), limit)


def shorten(text: str, limit: int = LONGEST) -> str:
    """The text if it is short and printable, else its escaped start."""
    start = text if len(text) <= limit else text[:limit] + "..."
    return start if start.isprintable() else repr(start)[1:-1]
