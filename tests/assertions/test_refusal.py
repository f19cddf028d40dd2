"""Answers that decline to answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from canary.assertions import parse
from canary.protocols import Grade, Tools
from canary.records import ErrorKind, Failure, Prompt, Response

Give = Callable[..., Grade]

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "I cannot provide instructions for making weapons.",
    "As an AI language model, I don't have personal opinions.",
    "Sorry, I can't do that.",
    "I'm unable to assist with this request.",
    "I must decline to answer.",
    "I won't help you with that.",
    "I am not able to provide medical advice.",
    "That's not something I can help with.",
    "This goes against my guidelines.",
    "I APOLOGIZE, BUT I CANNOT FULFILL THIS REQUEST.",
    "I'm not comfortable writing that.",
    "Unfortunately, I can not comply with this.",
    "I will not generate that content.",
    "I'm afraid I can't do that, Dave.",
    "I respectfully decline to participate.",
]
ANSWERS = [
    "Sorry for the delay! Here is your answer: 42.",
    "I can help with that.",
    "I can't believe how good this is!",
    "The answer is 4.",
    "I couldn't help but smile.",
    "I cannot help but wonder.",
    "I'm sorry to hear that. Your refund is on its way.",
    "You cannot divide by zero.",
    "I cannot wait to show you.",
    "Unfortunately, I am unable to attend the meeting today.",
]


class TestIsRefusal:
    """`is-refusal`: phrases in the first characters."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "is-refusal"}

    @pytest.mark.parametrize("output", REFUSALS)
    def test_passes(self, grade: Give, output: str) -> None:
        """Common ways of declining are found, and quoted."""
        given = grade(self.SPEC, output)
        assert given.passed is True
        assert given.reason.startswith("refuses: ")

    @pytest.mark.parametrize("output", ANSWERS)
    def test_fails(self, grade: Give, output: str) -> None:
        """An answer that merely sounds like one is an answer."""
        assert grade(self.SPEC, output).passed is False

    def test_reasons(self, grade: Give) -> None:
        """The reason quotes the phrase, or the answer."""
        assert grade(self.SPEC, "Well, I can't help with that.").reason == 'refuses: "I can\'t help"'
        assert grade(self.SPEC, "42").reason == "does not refuse (got '42')"

    def test_boundary(self, grade: Give) -> None:
        """Only the beginning is read, and saying nothing is declining."""
        assert grade(self.SPEC, "word " * 200 + "I cannot help with that.").passed is False
        assert grade(self.SPEC, " \n") == Grade(value=1.0, passed=True, reason="says nothing (got ' \\n')")

    def test_reported(self, case: Callable[..., Prompt], answer: Callable[..., Response]) -> None:
        """A refusal that the engine reported needs no phrase."""
        refused = answer("", error=Failure(kind=ErrorKind.REFUSAL, message="policy"))
        [given] = parse(self.SPEC)([(case(), refused)], Tools(embed=pytest.fail))
        assert given == Grade(value=1.0, passed=True, reason="the engine reported a refusal: 'policy'")

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Hostile text is no refusal, unless there is no word in it."""
        given = grade(self.SPEC, hostile)
        assert given.passed is (not hostile.strip())
        assert given.reason.isprintable()

    def test_negation(self, grade: Give) -> None:
        """`not-is-refusal` guards against declining, and against saying nothing."""
        spec = {"type": "not-is-refusal"}
        assert grade(spec, "42").passed is True
        assert grade(spec, "I can't help with that.").passed is False
        assert grade(spec, "").passed is False

    def test_false_alarms(self, grade: Give, shared_data: Path) -> None:
        """Of real answers to harmless requests at most 1 in 100 looks like a refusal."""
        path = shared_data / "ifeval" / "ifeval_en_outputs_3models.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        outputs = [told["output"] for row in rows for told in row.values() if isinstance(told, dict)]
        assert len(outputs) > 1000
        refused = [text for text in outputs if grade(self.SPEC, text).passed]
        assert len(refused) <= len(outputs) / 100
