"""Pointwise assertions that a judge decides: one answer, one narrow property.

What the judge is told: docs/judges.md. A vote that is missing, unparsable or
late counts for neither side; where the votes cast do not settle the matter
whatever the missing ones would have said, the assertion abstains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean
from typing import Annotated, Any, ClassVar

from pydantic import Field

from canary.assertions.attempt import abstain, attempt
from canary.assertions.excerpt import shorten
from canary.assertions.lift import Metric, Referenced, Threshold, at_least
from canary.assertions.question import Ask, asked_of, question
from canary.protocols import Grade, Opinion, Question, Tools
from canary.records import Prompt, Response, Scale

Votes = Annotated[int, Field(strict=True, ge=1, le=25)]
YES_NO = ("yes", "no")


def as_text(value: Any) -> str:
    """A rubric or reference; ValueError where it is blank, or neither text nor a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise ValueError("must be text that is not blank")
    return str(value)


class JudgedAssertion(Referenced):
    """Asks for one verdict on one answer; a blank answer is asked about too."""

    structural: ClassVar[bool] = False
    asks_judge: ClassVar[bool] = True
    scale: ClassVar[Scale] = Scale.PASS_FAIL
    verdicts: ClassVar[tuple[str, ...]] = YES_NO
    shape: ClassVar[Any] = staticmethod(as_text)
    value: Annotated[str, Field(min_length=1)]
    threshold: Threshold = 0.5
    votes: Votes | None = None

    def questions(self, pairs: Sequence[tuple[Prompt, Response]]) -> list[Question]:
        """Everything that must be asked to grade the pairs."""
        return [self.ask(prompt, response) for prompt, response in pairs]

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]], tools: Tools) -> list[Grade]:
        """One grade per pair, in order; equal answers to one case are judged once."""
        asked = self.questions(pairs)
        opinions = tools.judge(asked)
        return [attempt(partial(self.count, opinions[each.key]), abstain) for each in asked]

    def ask(self, prompt: Prompt, response: Response) -> Question:
        """The question about one answer."""
        quoted = (*self.context(prompt), ("answer", response.output))
        return question(
            Ask(task=self.task(self.reference(prompt)), verdicts=self.verdicts, quoted=quoted, votes=self.votes)
        )

    def context(self, prompt: Prompt) -> tuple[tuple[str, str], ...]:
        """What else is quoted."""
        return (("question", asked_of(prompt)),)

    def task(self, value: str) -> str:
        """What is to be decided."""
        raise NotImplementedError(f"{type(self).__name__} asks nothing")

    def count(self, opinions: Sequence[Opinion]) -> Grade:
        """Passes where a share of at least `threshold` of the votes says yes."""
        needed = max(1, math.ceil(self.threshold * len(opinions) - 1e-9))
        yes = [opinion for opinion in opinions if opinion.verdict is not None and self.is_yes(opinion.verdict)]
        unknown = [opinion for opinion in opinions if opinion.verdict is None]
        if len(yes) < needed <= len(yes) + len(unknown):
            return abstain(unknown[0].reason)
        passed = len(yes) >= needed
        said = next(o for o in opinions if o.verdict is not None and self.is_yes(o.verdict) is passed)
        tally = f" ({len(yes)} of {len(opinions)} votes)" if len(opinions) > 1 else ""
        return Grade(value=float(passed), passed=passed, reason=shorten(f"{said.verdict}{tally}: {said.reason}"))

    def is_yes(self, verdict: str) -> bool:
        """Whether a verdict speaks for the answer."""
        return verdict == "yes"


class LlmRubric(JudgedAssertion):
    """Whether the answer has the property that `value` describes."""

    metric: Metric = "llm-rubric"

    def task(self, value: str) -> str:
        """The rubric, and what yes means."""
        return f'Property: {value}\nVerdict: "yes" if the answer has the property, else "no".'


class ClosedQa(JudgedAssertion):
    """Whether the answer to the question meets the criterion in `value`."""

    metric: Metric = "closed-qa"

    def task(self, value: str) -> str:
        """The criterion, and what yes means."""
        return (
            f'Criterion: {value}\nVerdict: "yes" if the answer to the question meets the criterion in full, else "no".'
        )


class Factuality(JudgedAssertion):
    """How the answer's facts stand to those of the reference in `value`.

    A: fewer, all in agreement. B: more, all in agreement. C: the same. D: they
    disagree. E: they differ in what does not matter. D fails; the others pass.
    """

    metric: Metric = "factuality"
    verdicts: ClassVar[tuple[str, ...]] = ("A", "B", "C", "D", "E")

    def ask(self, prompt: Prompt, response: Response) -> Question:
        """The question about one answer, the reference quoted beside it."""
        quoted = (*self.context(prompt), ("reference", self.reference(prompt)), ("answer", response.output))
        return question(Ask(task=self.task(""), verdicts=self.verdicts, quoted=quoted, votes=self.votes))

    def task(self, value: str) -> str:  # noqa: ARG002 - the reference is quoted, not told
        """What each letter means."""
        return (
            "Compare the facts of the answer with those of the reference. Ignore style and grammar.\n"
            'Verdict: "A" if the answer says less and all of it agrees, "B" if it says more and all of the reference '
            'is in it, "C" if both say the same, "D" if they disagree, "E" if they differ only in what does not matter.'
        )

    def is_yes(self, verdict: str) -> bool:
        """Everything but a disagreement."""
        return verdict != "D"


class GEval(JudgedAssertion):
    """How well the answer meets the criteria in `value`: 0 to 10, given as 0..1.

    The mean of the votes; passes at the threshold. More than half of the votes
    must have been cast.
    """

    metric: Metric = "g-eval"
    scale: ClassVar[Scale] = Scale.BOUNDED
    verdicts: ClassVar[tuple[str, ...]] = tuple(map(str, range(11)))
    threshold: Threshold = 0.7

    def task(self, value: str) -> str:
        """The criteria, and the ends of the scale."""
        return (
            f"Criteria: {value}\n"
            'Verdict: a whole number from "0" (meets none of the criteria) to "10" (meets all of them in full).'
        )

    def count(self, opinions: Sequence[Opinion]) -> Grade:
        """The mean of the votes that were cast."""
        cast = [opinion for opinion in opinions if opinion.verdict is not None]
        if 2 * len(cast) <= len(opinions):
            return abstain(next(opinion.reason for opinion in opinions if opinion.verdict is None))
        value = fmean(int(opinion.verdict or 0) for opinion in cast) / 10
        return at_least(value, self.threshold, "score", f": {cast[0].reason}")
