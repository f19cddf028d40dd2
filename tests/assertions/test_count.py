"""Lengths in words and in tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from canary.assertions import parse
from canary.errors import ConfigError
from canary.protocols import Grade

Give = Callable[..., Grade]


class TestWordCount:
    """`word-count`: words between white space."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "word-count", "value": {"min": 2, "max": 3}}

    def test_passes(self, grade: Give) -> None:
        """The reason has the count and the range."""
        assert grade(self.SPEC, "two words") == Grade(
            value=1.0, passed=True, reason="has 2 words, asked for at least 2 and at most 3"
        )

    def test_fails(self, grade: Give) -> None:
        """Too many."""
        assert grade(self.SPEC, "a b c d") == Grade(
            value=0.0, passed=False, reason="has 4 words, asked for at least 2 and at most 3"
        )

    @pytest.mark.parametrize(
        ("value", "passing", "failing"),
        [
            ({"min": 2}, "a b", "a"),
            ({"max": 2}, "a b", "a b c"),
            ({"min": 1, "max": 3}, "a b c", ""),
            (2, "a-b c", "a"),
            (0, " \n", "a"),
        ],
    )
    def test_boundary(self, grade: Give, value: Any, passing: str, failing: str) -> None:
        """Both ends belong to the range; a number is exact; one side may be open."""
        spec = {"type": "word-count", "value": value}
        assert grade(spec, passing).passed is True
        assert grade(spec, failing).passed is False

    def test_exact_reason(self, grade: Give) -> None:
        """An exact number reads as one."""
        assert grade({"type": "word-count", "value": 2}, "a").reason == "has 1 words, asked for exactly 2"

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Anything can be counted."""
        given = grade(self.SPEC, hostile)
        assert given.passed is not None
        assert given.reason.isprintable()

    def test_negation(self, grade: Give) -> None:
        """`not-word-count` passes outside the range."""
        assert grade({"type": "not-word-count", "value": 2}, "a").passed is True

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ({}, "'assert.value' must have a min or a max (got {})"),
            ({"min": 3, "max": 2}, "'assert.value' must have min <= max (got {'min': 3, 'max': 2})"),
            ({"min": -1}, "'assert.value.min' must be at least 0 (got -1)"),
            ({"min": 1.5}, "'assert.value.min' must be a whole number (got 1.5)"),
            ({"mim": 1}, "'assert.value.mim' is not a known key"),
            ("10", "'assert.value' must be a whole number, or min and max (got '10')"),
            (True, "'assert.value' must be a whole number, or min and max (got True)"),
        ],
    )
    def test_value(self, value: Any, message: str) -> None:
        """A range that is none is refused in the words of the file."""
        with pytest.raises(ConfigError) as caught:
            parse({"type": "word-count", "value": value})
        assert message in str(caught.value)


class TestTokenCount:
    """`token-count`: what the engine recorded."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "token-count", "value": {"max": 10}}

    def test_passes(self, grade: Give) -> None:
        """The output's text does not matter."""
        assert grade(self.SPEC, "x" * 100, tokens=10) == Grade(
            value=1.0, passed=True, reason="has 10 tokens, asked for at most 10"
        )

    def test_fails(self, grade: Give) -> None:
        """One too many."""
        assert grade(self.SPEC, "x", tokens=11).reason == "has 11 tokens, asked for at most 10"

    def test_boundary(self, grade: Give) -> None:
        """What is not recorded is missing evidence, not a short answer."""
        assert grade(self.SPEC, "x") == Grade(value=None, passed=None, reason="output_tokens is not recorded")

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Texts are not even read."""
        assert grade(self.SPEC, hostile, tokens=0).passed is True

    def test_negation(self, grade: Give) -> None:
        """`not-token-count` of missing evidence is missing evidence."""
        spec = {"type": "not-token-count", "value": {"max": 10}}
        assert grade(spec, "x", tokens=11).passed is True
        assert grade(spec, "x").passed is None
