"""Regular expressions, on a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from canary.assertions import parse
from canary.errors import ConfigError
from canary.protocols import Grade

Give = Callable[..., Grade]


class TestRegex:
    """`regex`: found anywhere."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "regex", "value": r"\d{2,3}"}

    def test_passes(self, grade: Give) -> None:
        """A search, not a full match; the reason has what was found."""
        assert grade(self.SPEC, "no 123 here") == Grade(value=1.0, passed=True, reason=r"matches '\\d{2,3}' with '123'")

    def test_fails(self, grade: Give) -> None:
        """The reason has the pattern and the output."""
        assert grade(self.SPEC, "1") == Grade(value=0.0, passed=False, reason=r"does not match '\\d{2,3}' (got '1')")

    def test_boundary(self, grade: Give) -> None:
        """Anchors, inline flags and look-around work as in Python."""
        assert not grade({"type": "regex", "value": "^b"}, "a\nb").passed
        assert grade({"type": "regex", "value": "(?m)^b"}, "a\nb").passed
        assert grade({"type": "regex", "value": "(?i)YES"}, "yes").passed
        assert grade({"type": "regex", "value": r"(?<!not )ok"}, "ok").passed

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Anything is graded, in one printable line."""
        given = grade({"type": "regex", "value": r"x(\w+\s*)+y$"}, hostile)
        assert given.passed is False
        assert given.reason.isprintable()

    def test_catastrophe(self, grade: Give) -> None:
        """A pattern that backtracks without end abstains after about a second of processor time."""
        start = time.monotonic()
        given = grade({"type": "regex", "value": r"^(a|aa)+$"}, "a" * 50 + "!")
        assert time.monotonic() - start < 60
        assert given.passed is None
        assert given.reason == "TimeoutError: '^(a|aa)+$' searched 51 characters for 1 s"

    def test_negation(self, grade: Give) -> None:
        """`not-regex` passes where nothing is found."""
        assert grade({"type": "not-regex", "value": r"\d"}, "none").passed is True

    def test_broken(self) -> None:
        """A pattern that is none is the suite's mistake, found at once."""
        with pytest.raises(ConfigError, match=r"'assert.value' must be a regular expression: missing \) at position 2"):
            parse({"type": "regex", "value": "(a"})

    def test_template(self, grade: Give) -> None:
        """A pattern may come from the case; a broken one abstains."""
        spec = {"type": "regex", "value": "^{{expected}}$"}
        assert grade(spec, "4x", expected="4.").passed is True
        assert grade(spec, "4x", expected="(").reason.startswith("ValueError: must be a regular expression")
