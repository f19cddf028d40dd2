"""`similar`: closeness of meaning, by the cosine of two embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import PlainValidator

from canary.assertions.attempt import abstain, attempt
from canary.assertions.excerpt import excerpt
from canary.assertions.lift import Metric, Referenced, at_least
from canary.assertions.reference import References, as_texts
from canary.protocols import Grade, Tools
from canary.records import Prompt, Response, Scale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LEARNED = "learned"
"""The threshold that `canary calibrate noise` measured for the metric."""


def _written(threshold: Any) -> float | str:
    if threshold == LEARNED:
        return LEARNED
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise ValueError(f"must be a number from 0 to 1, or {LEARNED!r}")
    return float(threshold)


def speakable(text: str) -> str:
    """The text with what no encoder accepts (lone surrogates) as `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


class Similar(Referenced):
    """The cosine to the closest reference, negative ones as 0; passes at the threshold.

    A learned threshold that nobody has measured abstains.

    The cosine is rounded to six digits, below which it depends on the machine.
    A blank answer is close to nothing: 0.
    """

    scale: ClassVar[Scale] = Scale.BOUNDED
    structural: ClassVar[bool] = False
    metric: Metric = "similar"
    value: References
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_texts)
    threshold: Annotated[float | Literal["learned"], PlainValidator(_written)] = 0.75

    def texts(self, pairs: Sequence[tuple[Prompt, Response]]) -> list[str]:
        """Everything that must be embedded to grade the pairs, repeats included."""
        return [text for pair in pairs for text in attempt(partial(self._compared, *pair), lambda _: [])]

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]], tools: Tools) -> list[Grade]:
        """One grade per pair, in order; embeds each distinct text once."""
        distinct = list(dict.fromkeys(self.texts(pairs)))
        vectors = dict(zip(distinct, tools.embed()(distinct), strict=True)) if distinct else {}
        threshold = tools.learned.get(self.metric) if self.threshold == "learned" else self.threshold
        if threshold is None:
            return [abstain(f"no threshold was learned for {self.metric!r}") for _ in pairs]
        return [attempt(partial(self._graded, *pair, vectors, threshold), abstain) for pair in pairs]

    def _compared(self, prompt: Prompt, response: Response) -> list[str]:
        if not response.output.strip():
            return []
        return [speakable(text) for text in (response.output, *self.reference(prompt))]

    def _graded(
        self, prompt: Prompt, response: Response, vectors: dict[str, NDArray[np.float32]], threshold: float
    ) -> Grade:
        answer, *references = self._compared(prompt, response) or ["", *self.reference(prompt)]
        scored = [(cosine(vectors[answer], vectors[text]) if answer else 0.0, text) for text in references]
        best, text = max(scored, key=lambda pair: pair[0])
        how = "(learned) to" if self.threshold == LEARNED else "to"
        return at_least(best, threshold, "cosine", f"{how} {excerpt(text)} (got {excerpt(response.output)})")


def cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """The cosine of two unit vectors, kept in 0..1, to six digits."""
    product = float(left @ right)
    return product if math.isnan(product) else round(min(1.0, max(0.0, product)), 6)
