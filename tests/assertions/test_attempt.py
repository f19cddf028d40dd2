"""Where an assertion's failure becomes an abstention."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest

from canary.assertions.attempt import abstain, attempt
from canary.errors import MissingExtra
from canary.protocols import Grade


def failing(error: BaseException) -> Callable[[], NoReturn]:
    """A call that raises."""

    def call() -> NoReturn:
        raise error

    return call


def test_result() -> None:
    """What works is passed on."""
    assert attempt(lambda: 1, len) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no"), "ValueError: no"),
        (SystemExit(0), "SystemExit: 0"),
        (RuntimeError("\x1b[31m"), "RuntimeError: \\x1b[31m"),
        (MemoryError(), "MemoryError: "),
    ],
)
def test_failure(error: BaseException, reason: str) -> None:
    """The reason has the type and the message, printable."""
    assert attempt(failing(error), abstain) == Grade(value=None, passed=None, reason=reason)


@pytest.mark.parametrize("error", [MissingExtra("x", "embeddings"), KeyboardInterrupt()])
def test_not_ours_to_catch(error: BaseException) -> None:
    """A missing library stops the run, and so does the user."""
    with pytest.raises(type(error)):
        attempt(failing(error), abstain)
