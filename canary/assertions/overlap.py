"""`f1`: how many words an answer shares with its reference."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from canary.assertions.excerpt import excerpt
from canary.assertions.lift import Metric, Referenced, Threshold, at_least
from canary.assertions.reference import References, as_texts
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale

_DROPPED = str.maketrans("", "", string.punctuation)
_ARTICLES = frozenset({"a", "an", "the"})


def tokens(text: str) -> list[str]:
    """Lower-case words without ASCII punctuation and articles, as SQuAD's."""
    return [word for word in text.lower().translate(_DROPPED).split() if word not in _ARTICLES]


def token_f1(answer: list[str], reference: list[str]) -> float:
    """Harmonic mean of precision and recall over words, 0..1.

    1 where neither has a word, 0 where only one has.
    """
    if not answer or not reference:
        return float(answer == reference)
    shared = sum((Counter(answer) & Counter(reference)).values())
    return 2 * shared / (len(answer) + len(reference))


class F1(Referenced):
    """The best token F1 against the references; passes at the threshold.

    SQuAD's tokens and formula (Rajpurkar et al. 2016). Languages written
    without spaces have too few words for it.
    """

    scale: ClassVar[Scale] = Scale.BOUNDED
    metric: Metric = "f1"
    value: References
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_texts)
    threshold: Threshold = 0.5

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Score against each reference, keep the best."""
        answer = tokens(response.output)
        scored = [(token_f1(answer, tokens(text)), text) for text in self.reference(prompt)]
        best, text = max(scored, key=lambda pair: pair[0])
        return at_least(best, self.threshold, "f1", f"against {excerpt(text)} (got {excerpt(response.output)})")
