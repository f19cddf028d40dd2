"""One question to the embedder for all assertions of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from canary.assertions.leaf import leaves
from canary.assertions.similar import Similar
from canary.protocols import Assertion, Embedder
from canary.records import Prompt, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Work = tuple[Assertion, Sequence[tuple[Prompt, Response]]]


class AskOnce:
    """An embedder that asks the real one once, for every text to come.

    Opens it on the first question. Where that fails, every later question
    fails alike, without asking again.
    """

    name = "once"

    def __init__(self, embed: Callable[[], Embedder], work: Sequence[Work]) -> None:
        self._embed = embed
        self._work = work
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._failure: Exception | None = None

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (texts, dimensions)."""
        import numpy as np  # noqa: PLC0415 - only embeddings pay for it

        if self._failure is not None:
            raise self._failure
        lacking = [text for text in texts if text not in self._vectors]
        if lacking:
            self._ask(list(dict.fromkeys([*self._foreseen(), *lacking])))
        return np.stack([self._vectors[text] for text in texts])

    def _foreseen(self) -> list[str]:
        work, self._work = self._work, ()
        return [text for assertion, pairs in work for text in _texts(assertion, pairs)]

    def _ask(self, texts: list[str]) -> None:
        try:
            vectors = self._embed()(texts)
        except Exception as error:
            self._failure = error
            raise
        self._vectors.update(zip(texts, vectors, strict=True))


def _texts(assertion: Assertion, pairs: Sequence[tuple[Prompt, Response]]) -> list[str]:
    found = leaves(assertion, pairs)
    return [text for leaf, seen in found if isinstance(leaf, Similar) for text in leaf.texts(seen)]
