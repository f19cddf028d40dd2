"""One round of questions to the judge for all assertions of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from canary.assertions.leaf import leaves
from canary.protocols import Assertion, Judge, Opinion, Question
from canary.records import Prompt, Response

Work = tuple[Assertion, Sequence[tuple[Prompt, Response]]]


@runtime_checkable
class Asking(Protocol):
    """An assertion that says beforehand what it will ask a judge."""

    def questions(self, pairs: Sequence[tuple[Prompt, Response]]) -> list[Question]:
        """Everything that must be asked to grade the pairs."""
        ...


def judge_once(judge: Judge, work: Sequence[Work]) -> Judge:
    """A judge that is asked everything to come on the first question, so that it is opened once."""
    known: dict[str, Sequence[Opinion]] = {}

    def answer(questions: Sequence[Question]) -> Mapping[str, Sequence[Opinion]]:
        if any(question.key not in known for question in questions):
            known.update(judge([*foreseen(work), *questions]))
        return known

    return answer


def foreseen(work: Sequence[Work]) -> list[Question]:
    """Everything that grading will ask a judge."""
    positives = [found for assertion, pairs in work for found in leaves(assertion, pairs)]
    return [
        question for asking, pairs in positives if isinstance(asking, Asking) for question in asking.questions(pairs)
    ]
