"""The one place where an assertion's own failure becomes an abstention."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from pathlib import Path
from traceback import FrameSummary, extract_tb
from typing import TypeVar

from canary.assertions.excerpt import shorten
from canary.errors import CanaryError
from canary.protocols import Grade

T = TypeVar("T")

_OTHERS = (Path(__file__).resolve().parent.parent, *map(Path, sorted({*sysconfig.get_paths().values()})))
"""Where nobody's own code is: this package, Python and what is installed."""
_FRAMES = 5
"""Places of a traceback that a reason carries."""


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
        return otherwise(shorten(f"{type(error).__name__}: {error}{_trace(error)}"))


def _trace(error: BaseException) -> str:
    """Where in code of the user's own it was raised, the innermost place first."""
    frames = [f"{Path(f.filename).name}:{f.lineno} in {f.name}" for f in extract_tb(error.__traceback__) if _is_own(f)]
    return f" (at {', from '.join(reversed(frames[-_FRAMES:]))})" if frames else ""


def _is_own(frame: FrameSummary) -> bool:
    path = Path(frame.filename)
    return path.is_absolute() and not any(path.is_relative_to(place) for place in _OTHERS)


def abstain(reason: str) -> Grade:
    """Neither a loss nor a pass."""
    return Grade(value=None, passed=None, reason=reason)
