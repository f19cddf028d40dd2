"""Overlap with a reference as the literature counts it: ROUGE, BLEU, GLEU, METEOR, edits.

Formulas are the libraries' own: rouge-score, sacrebleu, NLTK, rapidfuzz. All
but `levenshtein` read the first READ characters, in lower case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import Field

from canary.assertions.excerpt import excerpt
from canary.assertions.library import library, require
from canary.assertions.lift import Metric, Referenced, Threshold, at_least, yes_or_no
from canary.assertions.reference import References, Text, as_text, as_texts
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale

READ = 100_000


class Overlap(Referenced):
    """The best score against the references; passes at the threshold."""

    scale: ClassVar[Scale] = Scale.BOUNDED
    value: References
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_texts)
    needs: ClassVar[str] = ""
    """The library that knows the formula."""
    threshold: Threshold = 0.5

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's signature
        """Look for the library before any response is paid for."""
        require(self.needs, type(self).model_fields["metric"].default)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Score against each reference, keep the best."""
        answer = response.output[:READ].lower()
        scored = [(self.score(answer, text[:READ].lower()), text) for text in self.reference(prompt)]
        best, text = max(scored, key=lambda pair: pair[0])
        kept = min(1.0, max(0.0, best))
        name = type(self).model_fields["metric"].default
        return at_least(kept, self.threshold, name, f"against {excerpt(text)} (got {excerpt(response.output)})")

    def score(self, answer: str, reference: str) -> float:
        """0..1, of lower-cased texts."""
        raise NotImplementedError(f"{type(self).__name__} scores nothing")


class RougeN(Overlap):
    """F1 of shared word n-grams, `n: 1` unless told otherwise (Lin 2004)."""

    metric: Metric = "rouge-n"
    needs: ClassVar[str] = "rouge_score"
    threshold: Threshold = 0.75
    n: int = Field(1, ge=1, le=9)

    def score(self, answer: str, reference: str) -> float:
        """By rouge-score, without stemming."""
        kind = f"rouge{self.n}"
        scorer = library("rouge_score.rouge_scorer").RougeScorer([kind])
        return float(scorer.score(reference, answer)[kind].fmeasure)


class Bleu(Overlap):
    """BLEU of one sentence over up to four words (Papineni et al. 2002), smoothed."""

    metric: Metric = "bleu"
    needs: ClassVar[str] = "sacrebleu"

    def score(self, answer: str, reference: str) -> float:
        """By sacrebleu: exponential smoothing, effective order."""
        return float(library("sacrebleu").sentence_bleu(answer, [reference]).score) / 100


class Gleu(Overlap):
    """The lesser of precision and recall over 1 to 4 words (Wu et al. 2016)."""

    metric: Metric = "gleu"
    needs: ClassVar[str] = "nltk"

    def score(self, answer: str, reference: str) -> float:
        """By NLTK."""
        return float(library("nltk.translate.gleu_score").sentence_gleu([reference.split()], answer.split()))


class _NoSynonyms:
    """In WordNet's place, which would have to be downloaded."""

    @staticmethod
    def synsets(word: str) -> list[Any]:  # noqa: ARG004 - WordNet's signature
        return []


class Meteor(Overlap):
    """METEOR of equal words and equal stems, without synonyms (Banerjee & Lavie 2005)."""

    metric: Metric = "meteor"
    needs: ClassVar[str] = "nltk"

    def score(self, answer: str, reference: str) -> float:
        """By NLTK, with Porter's stems."""
        found = library("nltk.translate.meteor_score").single_meteor_score(
            reference.split(), answer.split(), wordnet=_NoSynonyms
        )
        return float(found)


class Levenshtein(Referenced):
    """Passes iff at most `threshold` characters must be changed to get the value."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "levenshtein"
    value: Text
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_text)
    threshold: int = Field(5, ge=0, strict=True)

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's signature
        """Look for the library before any response is paid for."""
        require("rapidfuzz", "levenshtein")

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Count no further than the threshold."""
        text, output = self.reference(prompt), response.output
        edits = library("rapidfuzz.distance").Levenshtein.distance(output, text, score_cutoff=self.threshold)
        said = f"{edits} edits" if edits <= self.threshold else f"more than {self.threshold} edits"
        return yes_or_no(
            f"{said} from {excerpt(text)}, at most {self.threshold} allowed (got {excerpt(output)})",
            passed=edits <= self.threshold,
        )
