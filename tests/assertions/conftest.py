"""Cases, answers and grades in one call each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from canary.assertions import parse
from canary.errors import MissingExtra
from canary.models.sentence_transformers import MiniLM
from canary.protocols import Embedder, Grade, Tools
from canary.records import Arm, Prompt, Response

HOSTILE = {
    "empty": "",
    "blank": " \t\r\n\u00a0",
    "10 MB": "a" * 10_000_000,
    "control": "\x00\x07\x1b[31mred\x1b[0m\r\x08",
    "surrogates": "\ud800 broken \udfff",
    "bidi": "\u202egnp.exe\u2066",
    "script": "</script><script>alert(1)</script>",
    "deep JSON": "[" * 100_000 + "]" * 100_000,
    "deep object": '{"a":' * 100_000,
    "NaN": "NaN",
    "huge number": "9" * 10_000,
}


@pytest.fixture(params=list(HOSTILE.values()), ids=list(HOSTILE))
def hostile(request: pytest.FixtureRequest) -> str:
    """An output that a broken or malicious model may give."""
    output: str = request.param
    return output


@pytest.fixture
def case() -> Callable[..., Prompt]:
    """One case: `case("id", expected=..., asserts=[...], vars={...})`."""

    def make(identity: str = "one", **given: Any) -> Prompt:
        fields: dict[str, Any] = {
            "id": identity,
            "digest": "",
            "stratum": "all",
            "cluster": identity,
            "vars": {},
            "messages": None,
            "expected": None,
            "asserts": (),
        }
        return Prompt(**(fields | given))

    return make


@pytest.fixture
def answer() -> Callable[..., Response]:
    """One response: `answer("output", "id", error=...)`."""

    def make(output: str, identity: str = "one", **given: Any) -> Response:
        return Response(**({"id": identity, "arm": Arm.CANDIDATE, "output": output} | given))

    return make


@pytest.fixture
def grade(case: Callable[..., Prompt], answer: Callable[..., Response]) -> Callable[..., Grade]:
    """One grade: `grade({"type": "equals", ...}, "output", expected=...)`."""

    def give(spec: dict[str, Any], output: str, tokens: int | None = None, **given: Any) -> Grade:
        pairs = [(case(**given), answer(output, output_tokens=tokens))]
        return parse(spec)(pairs, Tools(embed=_no_embedder))[0]

    return give


def _no_embedder() -> Embedder:
    raise MissingExtra("this test", "embeddings")


class Letters:
    """Texts as unit vectors of how often each letter occurs; counts its calls."""

    name = "letters"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (texts, 128)."""
        self.asked.append(list(texts))
        rows = np.array([np.bincount([ord(char) % 128 for char in text] or [0], minlength=128) for text in texts])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture
def letters() -> Letters:
    """An embedder without a library."""
    return Letters()


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> MiniLM:
    """The real embedder, on a cache of its own."""
    path: Path = tmp_path_factory.mktemp("embeddings") / "vectors.sqlite3"
    try:
        return MiniLM(path)
    except MissingExtra as error:
        pytest.skip(f"NOT TESTED, the real embedder is missing: {error}")
