"""Where an assertion's failure becomes an abstention."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest

from canary.assertions.attempt import abstain, attempt
from canary.errors import MissingExtra


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
    """The reason has the type, the message, printable, and where in the user's own code it was raised."""
    given = attempt(failing(error), abstain)
    assert (given.value, given.passed) == (None, None)
    assert given.reason.startswith(f"{reason} (at test_attempt.py:")


@pytest.mark.parametrize("error", [MissingExtra("x", "embeddings"), KeyboardInterrupt()])
def test_not_ours_to_catch(error: BaseException) -> None:
    """A missing library stops the run, and so does the user."""
    with pytest.raises(type(error)):
        attempt(failing(error), abstain)
