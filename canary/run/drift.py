"""Whether the answers' meaning moved, tested while their embeddings are at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext

import numpy as np
from numpy.typing import NDArray

from canary.assertions.similar import speakable
from canary.calibration import LIKENESS, Similarity
from canary.models import open_embedder
from canary.plan import Plan
from canary.protocols import Embedder
from canary.records import MINIMUM_PAIRS, Arm, Measurement, Prompt, Response
from canary.run.duplicates import NAME as DUPLICATES
from canary.run.duplicates import measure_duplicates
from canary.run.progress import Screen
from canary.signals.reading import seed_of
from canary.stats.drift import count_below, similarity_threshold, swap_test
from canary.stats.multiplicity import holm

NAME = "drift/embedding"
PIECE = 512
"""Answers embedded between two signs of life."""


class Kept:
    """An embedder that keeps every vector it gave, opened on first use."""

    def __init__(self, open_: Callable[[], Embedder] = open_embedder, screen: Screen | None = None) -> None:
        self._open, self.vectors = open_, dict[str, NDArray[np.float32]]()
        self._screen = screen
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
            self._embed(sorted(fresh, key=len), self._asked)
        return np.stack([self.vectors[text] for text in texts])

    def _embed(self, fresh: Sequence[str], embedder: Embedder) -> None:
        """In pieces, the shortest texts first, and says how far it is."""
        with nullcontext() if self._screen is None else self._screen.track("answers embedded", len(fresh)) as track:
            for piece in (fresh[start : start + PIECE] for start in range(0, len(fresh), PIECE)):
                self.vectors.update(zip(piece, embedder(piece), strict=True))
                if track is not None:
                    track.advance(len(piece))


def measure_drift(
    kept: Kept, responses: Sequence[Response], plan: Plan, prompts: Sequence[Prompt] = ()
) -> Iterator[Measurement]:
    """How far the arms' first answers that were embedded anyway lie apart, if there are any.

    Where the baseline's likeness to itself was measured, the share of cases
    less alike than that, with a warning for each stratum of `prompts` where it
    is too large; else their energy distance. The likeness that this
    run would be a measure of goes with it, for `canary calibrate noise`.
    """
    arms: dict[Arm, dict[str, NDArray[np.float32]]] = {arm: {} for arm in Arm}
    for response in responses:
        vector = kept.vectors.get(speakable(response.output)) if response.error is None else None
        if vector is not None and response.repeat == 0:
            arms[response.arm][response.id] = vector
    pairs = sorted(arms[Arm.BASELINE].keys() & arms[Arm.CANDIDATE].keys())
    rows = [np.array([arms[arm][id_] for id_ in pairs], dtype=np.float64) for arm in Arm]
    if len(pairs) < MINIMUM_PAIRS or not all(np.isfinite(of_arm).all() for of_arm in rows):
        return
    cases = {prompt.id: prompt for prompt in prompts}
    if cases:
        expected = [cases[id_].expected for id_ in pairs]
        yield from measure_duplicates(rows[0], rows[1], expected, seed=seed_of(plan, DUPLICATES), embedder=kept.name)
    alike = np.sum(rows[0] * rows[1], axis=1)
    known = None if plan.calibration is None else plan.calibration.likeness()
    if known is not None:
        strata = [cases[id_].stratum if cases else "" for id_ in pairs]
        yield _less_alike(np.round(alike, 6), known, kept.name, strata)
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
    yield from _likeness(alike, plan.policy.alpha.rollback, kept.name)


def _less_alike(alike: NDArray[np.float64], known: Similarity, embedder: str, strata: Sequence[str]) -> Measurement:
    """One-sided: more answers than the share alpha are less alike than the baseline is to itself."""
    estimate, test = count_below(alike, known.threshold, alpha=known.alpha)
    return Measurement(
        id=NAME,
        n=test.n,
        value=estimate.center,
        p=test.p,
        method=f"{test.method} {known.threshold:.3f} of {known.n} answers to itself, {embedder}",
        warnings=tuple(_by_stratum(alike, known, np.array(strata))),
    )


def _by_stratum(alike: NDArray[np.float64], known: Similarity, strata: NDArray[np.str_]) -> Iterator[str]:
    """The strata with more answers below the threshold than Bin(n, alpha) allows, after Holm."""
    names = sorted(set(strata.tolist()) - {""})
    if len(names) < 2:
        return
    found = [count_below(alike[strata == name], known.threshold, alpha=known.alpha) for name in names]
    adjusted = holm([test.p for _, test in found]).tolist()
    for name, (estimate, test), p in zip(names, found, adjusted, strict=True):
        if p <= known.alpha:
            yield (
                f"stratum {name!r}: {estimate.center:.0%} of {test.n} answers are less alike than the baseline's own, "
                f"adjusted p {p:.2g}"
            )


def _likeness(alike: NDArray[np.float64], alpha: float, embedder: str) -> Iterator[Measurement]:
    """What `canary calibrate noise` keeps, where there are answers enough."""
    if alike.size >= 1 / alpha - 1:
        value = min(1.0, max(0.0, round(similarity_threshold(alike, alpha=alpha), 6)))
        yield Measurement(id=LIKENESS, n=alike.size, value=value, p=1.0, method=f"conformal, {embedder}")
