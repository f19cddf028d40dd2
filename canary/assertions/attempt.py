"""The one place where an assertion's own failure becomes an abstention."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from canary.assertions.excerpt import shorten
from canary.errors import CanaryError
from canary.protocols import Grade

T = TypeVar("T")


def attempt(call: Callable[[], T], otherwise: Callable[[str], T]) -> T:
    """What `call` returns, or `otherwise("Type: message")` where it raises.

    Our own errors pass through: a missing library, say, is no property of a
    response. Nothing else does but Ctrl-C: code under test must not end the
    gate, by SystemExit or by whatever else is no Exception.
    """
    try:
        return call()
    except (CanaryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a plugin raises is an abstention
        return otherwise(shorten(f"{type(error).__name__}: {error}"))


def abstain(reason: str) -> Grade:
    """Neither a loss nor a pass."""
    return Grade(value=None, passed=None, reason=reason)
