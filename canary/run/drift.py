"""Whether the answers' meaning moved, tested while their embeddings are at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from canary.assertions.similar import speakable
from canary.models import open_embedder
from canary.plan import Plan
from canary.protocols import Embedder
from canary.records import MINIMUM_PAIRS, Arm, Measurement, Response
from canary.signals.reading import seed_of
from canary.stats.drift import swap_test

NAME = "drift/embedding"


class Kept:
    """An embedder that keeps every vector it gave, opened on first use."""

    def __init__(self, open_: Callable[[], Embedder] = open_embedder) -> None:
        self._open, self.vectors = open_, dict[str, NDArray[np.float32]]()
        self._asked: Embedder | None = None
        self.name = "kept"

    def open(self) -> Embedder:
        """The embedder as assertions ask for it, opened once."""
        self._asked = self._asked or self._open()
        self.name = self._asked.name
        return self

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (texts, dimensions); no text is embedded twice."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if fresh and self._asked is not None:
            self.vectors.update(zip(fresh, self._asked(fresh), strict=True))
        return np.stack([self.vectors[text] for text in texts])


def measure_drift(kept: Kept, responses: Sequence[Response], plan: Plan) -> Iterator[Measurement]:
    """The energy distance between the arms' first answers that were embedded anyway, if any."""
    arms: dict[Arm, dict[str, NDArray[np.float32]]] = {arm: {} for arm in Arm}
    for response in responses:
        vector = kept.vectors.get(speakable(response.output)) if response.error is None else None
        if vector is not None and response.repeat == 0:
            arms[response.arm][response.id] = vector
    pairs = sorted(arms[Arm.BASELINE].keys() & arms[Arm.CANDIDATE].keys())
    rows = [np.array([arms[arm][id_] for id_ in pairs], dtype=np.float64) for arm in Arm]
    if len(pairs) < MINIMUM_PAIRS or not all(np.isfinite(of_arm).all() for of_arm in rows):
        return
    drift = swap_test(*rows, seed=seed_of(plan, NAME))
    yield Measurement(
        id=NAME,
        n=len(pairs),
        value=max(0.0, drift.distance),
        p=drift.test.p,
        method=f"{drift.test.method}, {kept.name}",
        warnings=drift.test.warnings,
    )
