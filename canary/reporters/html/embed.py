"""JSON that can stand inside a page: nothing in it ends its element or hides."""

from __future__ import annotations

import json
from typing import Any


def embed(value: Any) -> str:
    """The value as JSON that reads back the same; lone surrogates too."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    unsafe = {ord(c): _escaped(ord(c)) for c in set(text) if c in "<>&" or not c.isprintable()}
    return text.translate(unsafe) if unsafe else text


def _escaped(number: int) -> str:
    if number < 0x10000:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
