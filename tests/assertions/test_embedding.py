"""One question to the embedder for a whole run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from canary.assertions import parse
from canary.assertions.embedding import AskOnce
from canary.protocols import Embedder
from canary.records import Prompt, Response


def test_foresees(letters: Any, case: Callable[..., Prompt], answer: Callable[..., Response]) -> None:
    """The first question asks for the texts of every assertion, negated ones too."""
    pair = (case(), answer("out"))
    work = [(parse({"type": kind, "value": kind}), [pair]) for kind in ("similar", "not-similar", "contains")]
    once = AskOnce(lambda: letters, work)
    once(["out", "similar"])
    once(["not-similar", "out"])
    assert letters.asked == [["out", "similar", "not-similar"]]


def test_unforeseen(letters: Any) -> None:
    """A plugin may ask for more; only what is new is asked."""
    once = AskOnce(lambda: letters, [])
    first = once(["a", "a", "b"])
    second = once(["c", "a"])
    assert letters.asked == [["a", "b"], ["c"]]
    assert np.array_equal(first[0], second[1])


def test_fails_once() -> None:
    """A broken embedder is not asked again by every assertion."""
    opened: list[int] = []

    def broken() -> Embedder:
        opened.append(1)
        raise RuntimeError("no memory")

    once = AskOnce(broken, [])
    for _ in range(3):
        with pytest.raises(RuntimeError, match=r"no memory"):
            once(["a"])
    assert opened == [1]
