"""What answers are held against: one text, a list of texts, references."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import PlainValidator

from canary.assertions.excerpt import excerpt
from canary.assertions.template import is_template


def as_text(value: Any) -> str:
    """A text as it is, a number as JSON writes it; nothing empty, no other type."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int | float):
        return json.dumps(value)
    raise ValueError(f"must be a text that is not empty, or a number (got {excerpt(value)})")


def as_texts(value: Any) -> list[str]:
    """A list of texts, or one text as such a list; never empty."""
    items = value if isinstance(value, list | tuple) else [value]
    if not items:
        raise ValueError("must be a list of texts that is not empty (got [])")
    return [as_text(item) for item in items]


def _text(value: Any) -> str | int | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise ValueError("must be a text that is not empty, or a number")
    return value


def _listed(value: Any) -> Any:
    if isinstance(value, str) and is_template(value):
        return value
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("must be a list of texts that is not empty")
    return tuple(_text(item) for item in value)


def _one_or_more(value: Any) -> Any:
    return _listed(value) if isinstance(value, list | tuple) else _text(value)


Text = Annotated[str | int | float, PlainValidator(_text)]
"""One text; numbers stand for themselves."""

Texts = Annotated[Any, PlainValidator(_listed)]
"""A list of texts, or a template of one."""

References = Annotated[Any, PlainValidator(_one_or_more)]
"""One text, or several of which the best counts."""
