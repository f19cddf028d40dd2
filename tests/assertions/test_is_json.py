"""JSON or not; with a schema: `test_schema`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from canary.protocols import Grade

Give = Callable[..., Grade]


class TestIsJson:
    """`is-json` alone: the whole output parses."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "is-json"}

    def test_passes(self, grade: Give) -> None:
        """Any JSON document, white space around it."""
        assert grade(self.SPEC, ' {"a": 1}\n') == Grade(value=1.0, passed=True, reason="is JSON (got ' {\"a\": 1}\\n')")

    def test_fails(self, grade: Give) -> None:
        """The reason says where it stops being JSON."""
        assert grade(self.SPEC, '{"a": }') == Grade(
            value=0.0, passed=False, reason="is not JSON: Expecting value at line 1 column 7 (got '{\"a\": }')"
        )

    @pytest.mark.parametrize("output", ["```json\n{}\n```", "{} {}", "{'a': 1}", "NaN", "[Infinity]", "\ufeff{}", ""])
    def test_boundary(self, grade: Give, output: str) -> None:
        """Strict: no fence, no second document, no NaN, no mark before it."""
        assert grade(self.SPEC, output).passed is False

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """No output crashes the parser; none of these is JSON we accept."""
        given = grade(self.SPEC, hostile)
        assert given.passed is False
        assert given.reason.isprintable()

    def test_deep(self, grade: Give) -> None:
        """Nesting without end is a fail with a reason, not a RecursionError."""
        given = grade(self.SPEC, "[" * 200_000 + "]" * 200_000)
        assert given.passed is False
        assert given.reason.startswith("is not JSON anyone should read: nested too deeply (got '[[[")

    def test_surrogate(self, grade: Give) -> None:
        """Escaped lone surrogates are JSON, and the reason can be printed."""
        given = grade(self.SPEC, '"\ud800"')
        assert given.passed is True
        given.reason.encode()

    def test_negation(self, grade: Give) -> None:
        """`not-is-json` passes on text."""
        assert grade({"type": "not-is-json"}, "text").passed is True
