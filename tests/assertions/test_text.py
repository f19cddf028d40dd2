"""Text held against text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from canary.assertions import parse
from canary.errors import ConfigError
from canary.protocols import Grade

Give = Callable[..., Grade]


def yes(reason: str) -> Grade:
    """A pass with its reason."""
    return Grade(value=1.0, passed=True, reason=reason)


def no(reason: str) -> Grade:
    """A fail with its reason."""
    return Grade(value=0.0, passed=False, reason=reason)


class TestEquals:
    """`equals`: the whole output, character by character."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "equals", "value": "42"}

    def test_passes(self, grade: Give) -> None:
        """The same text passes."""
        assert grade(self.SPEC, "42") == yes("equals '42'")

    def test_fails(self, grade: Give) -> None:
        """Another text fails, and the reason has both."""
        assert grade(self.SPEC, "43") == no("differs from '42' (got '43')")

    def test_boundary(self, grade: Give) -> None:
        """A line feed more is another text, and the reason says how little it is."""
        assert grade(self.SPEC, "42\n") == no("differs from '42' only in surrounding white space (got '42\\n')")

    @pytest.mark.parametrize(
        ("value", "output", "passed"),
        [
            (42, "42", True),
            (42, "42.0", True),
            (1, "true", False),
            (True, "true", True),
            ({"a": 1, "b": [2]}, '{"b": [2.0], "a": 1}', True),
            ({"a": 1}, '{"a": 1, "b": 2}', False),
            ([1, 2], "[2, 1]", False),
            ([1], "[1, 1]", False),
            ({"a": 1}, "a: 1", False),
        ],
    )
    def test_json(self, grade: Give, value: Any, output: str, passed: bool) -> None:  # noqa: FBT001
        """A value that is no text is compared as JSON."""
        assert grade({"type": "equals", "value": value}, output).passed is passed

    def test_json_reasons(self, grade: Give) -> None:
        """The reasons tell a wrong document from none."""
        spec = {"type": "equals", "value": {"a": 1}}
        assert grade(spec, '{"a": 2}').reason == "differs from {'a': 1} as JSON (got '{\"a\": 2}')"
        assert grade(spec, "a").reason == ("is not JSON: Expecting value at line 1 column 1; wanted {'a': 1} (got 'a')")

    def test_expected_keeps_its_type(self, grade: Give) -> None:
        """`{{expected}}` of a number is that number, of a text that text."""
        spec = {"type": "equals", "value": "{{expected}}"}
        assert grade(spec, "42.0", expected=42).passed
        assert not grade(spec, "42.0", expected="42").passed
        assert grade(spec, "", expected="").passed

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Anything is graded, in one short printable line."""
        given = grade(self.SPEC, hostile)
        assert given.passed is False
        assert given.reason.isprintable()
        assert len(given.reason) < 1000

    def test_hostile_json(self, grade: Give, hostile: str) -> None:
        """Also where it has to be decoded."""
        given = grade({"type": "equals", "value": {"a": 1}}, hostile)
        assert given.passed is False
        assert given.reason.isprintable()

    def test_negation(self, grade: Give) -> None:
        """`not-equals` passes on another text; its reason states the fact."""
        spec = {"type": "not-equals", "value": "42"}
        assert grade(spec, "43") == yes("differs from '42' (got '43')")
        assert grade(spec, "42") == no("expected the opposite: equals '42'")

    def test_no_value(self) -> None:
        """An empty `value:` in YAML is a mistake, not the text `null`."""
        with pytest.raises(ConfigError, match=r"'assert.value' must be a text or a JSON value \(got None\)"):
            parse({"type": "equals", "value": None})


class TestContains:
    """`contains`: a substring."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "contains", "value": "Paris"}

    def test_passes(self, grade: Give) -> None:
        """The text may stand anywhere."""
        assert grade(self.SPEC, "It is Paris.") == yes("contains 'Paris' (got 'It is Paris.')")

    def test_fails(self, grade: Give) -> None:
        """Without it the reason has both."""
        assert grade(self.SPEC, "It is Rome.") == no("lacks 'Paris' (got 'It is Rome.')")

    def test_boundary(self, grade: Give) -> None:
        """Case counts, the whole output is a substring of itself, numbers are texts."""
        assert not grade(self.SPEC, "paris").passed
        assert grade(self.SPEC, "Paris").passed
        assert grade({"type": "contains", "value": 4.5}, "4.5 kg").passed

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Anything is graded, in one printable line."""
        given = grade(self.SPEC, hostile)
        assert given.passed is False
        assert given.reason.isprintable()

    def test_negation(self, grade: Give) -> None:
        """`not-contains` passes without it."""
        spec = {"type": "not-contains", "value": "Paris"}
        assert grade(spec, "Rome") == yes("lacks 'Paris' (got 'Rome')")
        assert grade(spec, "Paris") == no("expected the opposite: contains 'Paris' (got 'Paris')")

    @pytest.mark.parametrize("value", ["", None, True, ["Paris"], {"a": 1}])
    def test_value(self, value: Any) -> None:
        """An empty text would be in every output, so it is refused."""
        with pytest.raises(ConfigError, match=r"'assert.value' must be a text that is not empty, or a number"):
            parse({"type": "contains", "value": value})

    def test_empty_reference(self, grade: Give) -> None:
        """A template that turns out empty abstains: it would pass on anything."""
        given = grade({"type": "contains", "value": "{{expected}}"}, "anything", expected="")
        assert given.passed is None
        assert given.reason == "ValueError: must be a text that is not empty, or a number (got '')"


class TestIContains:
    """`icontains`: a substring, whatever its case."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "icontains", "value": "straße"}

    def test_passes(self, grade: Give) -> None:
        """Case is folded, not only lowered."""
        assert grade(self.SPEC, "HAUPTSTRASSE 1") == yes("contains 'straße' (got 'HAUPTSTRASSE 1')")

    def test_fails(self, grade: Give) -> None:
        """Without it the reason has both."""
        assert grade(self.SPEC, "Platz") == no("lacks 'straße' (got 'Platz')")

    def test_boundary(self, grade: Give) -> None:
        """Accents are not folded."""
        assert not grade({"type": "icontains", "value": "cafe"}, "CAFÉ").passed

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Anything is graded, in one printable line."""
        given = grade(self.SPEC, hostile)
        assert given.passed is False
        assert given.reason.isprintable()

    def test_negation(self, grade: Give) -> None:
        """`not-icontains` fails in any case."""
        assert grade({"type": "not-icontains", "value": "sorry"}, "SORRY").passed is False


class TestContainsAny:
    """`contains-any`: at least one of several texts."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "contains-any", "value": ["yes", "sure"]}

    def test_passes(self, grade: Give) -> None:
        """The reason names the first one found."""
        assert grade(self.SPEC, "sure, yes") == yes("contains 'yes' (got 'sure, yes')")

    def test_fails(self, grade: Give) -> None:
        """The reason has all of them."""
        assert grade(self.SPEC, "no") == no("lacks every one of ['yes', 'sure'] (got 'no')")

    def test_boundary(self, grade: Give) -> None:
        """One text is enough of a list, also as a template."""
        assert grade({"type": "contains-any", "value": ["yes"]}, "yes").passed
        assert grade({"type": "contains-any", "value": "{{words}}"}, "b", vars={"words": ["a", "b"]}).passed

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Anything is graded, in one printable line."""
        given = grade(self.SPEC, hostile)
        assert given.passed is False
        assert given.reason.isprintable()

    def test_negation(self, grade: Give) -> None:
        """`not-contains-any` allows none of them."""
        spec = {"type": "not-contains-any", "value": ["yes", "sure"]}
        assert grade(spec, "no").passed is True
        assert grade(spec, "sure").passed is False

    @pytest.mark.parametrize("value", [[], "yes, sure", None, {"yes": 1}])
    def test_value(self, value: Any) -> None:
        """A text with commas is not split: say a list."""
        with pytest.raises(ConfigError, match=r"'assert.value' must be a list of texts that is not empty"):
            parse({"type": "contains-any", "value": value})


class TestContainsAll:
    """`contains-all`: every one of several texts."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "contains-all", "value": ["name", 7]}

    def test_passes(self, grade: Give) -> None:
        """All of them, in any order."""
        assert grade(self.SPEC, "7 name") == yes("contains all of ['name', '7'] (got '7 name')")

    def test_fails(self, grade: Give) -> None:
        """The reason names those that are missing."""
        assert grade(self.SPEC, "name") == no("lacks ['7'] of 2 texts (got 'name')")

    def test_boundary(self, grade: Give) -> None:
        """Texts may overlap in the output."""
        assert grade({"type": "contains-all", "value": ["ab", "bc"]}, "abc").passed

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Anything is graded, in one printable line."""
        given = grade(self.SPEC, hostile)
        assert given.passed is False
        assert given.reason.isprintable()

    def test_negation(self, grade: Give) -> None:
        """`not-contains-all` passes as soon as one is missing."""
        spec = {"type": "not-contains-all", "value": ["a", "b"]}
        assert grade(spec, "a").passed is True
        assert grade(spec, "ab").passed is False


class TestStartsWith:
    """`starts-with`: the first characters."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "starts-with", "value": "Dear"}

    def test_passes(self, grade: Give) -> None:
        """The prefix passes."""
        assert grade(self.SPEC, "Dear Ada") == yes("starts with 'Dear' (got 'Dear Ada')")

    def test_fails(self, grade: Give) -> None:
        """Another beginning fails."""
        assert grade(self.SPEC, "Hi Ada") == no("does not start with 'Dear' (got 'Hi Ada')")

    def test_boundary(self, grade: Give) -> None:
        """A blank before it is another beginning; case counts."""
        assert grade(self.SPEC, "Dear").passed
        assert not grade(self.SPEC, " Dear").passed
        assert not grade(self.SPEC, "dear").passed

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """Anything is graded, in one printable line."""
        given = grade(self.SPEC, hostile)
        assert given.passed is False
        assert given.reason.isprintable()

    def test_negation(self, grade: Give) -> None:
        """`not-starts-with` fails on the prefix."""
        assert grade({"type": "not-starts-with", "value": "As an AI"}, "As an AI, I").passed is False
