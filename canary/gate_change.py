"""What a pull request does to the gate that is to judge it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel


class GateChange(BaseModel):
    """One file of the gate itself that a pull request wants otherwise."""

    path: str
    """From the root of the repository."""
    how: Literal["changed", "added", "deleted"]
    base: str | None
    """sha256 on the base's side."""
    head: str | None


def gate_sentence(changes: Sequence[GateChange]) -> str:
    """What a pull request does to its own gate, or "" where nothing."""
    if not changes:
        return ""
    named = ", ".join(f"{change.path} ({change.how})" for change in changes)
    return f"this pull request changes the gate itself: {named}; judged by the base's"
