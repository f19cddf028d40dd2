"""What names a document by its content."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(document: Any) -> str:
    """A JSON document in one way of writing it, whatever the order of its keys; ValueError for NaN and infinity."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(document: Any) -> str:
    """The sha256 hex of a JSON document, whatever the order of its keys."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()
