"""The opposite of an assertion."""

from __future__ import annotations

import pytest

from canary.assertions import parse
from canary.assertions.negation import Negated, opposite
from canary.assertions.spec import is_structural
from canary.protocols import Grade
from canary.records import Scale


def grade(value: float | None, *, passed: bool | None) -> Grade:
    """A grade that says what it saw."""
    return Grade(value=value, passed=passed, reason="saw it")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (grade(1.0, passed=True), Grade(value=0.0, passed=False, reason="expected the opposite: saw it")),
        (grade(0.0, passed=False), Grade(value=1.0, passed=True, reason="saw it")),
        (grade(0.25, passed=False), Grade(value=0.75, passed=True, reason="saw it")),
        (grade(None, passed=None), Grade(value=None, passed=None, reason="saw it")),
    ],
)
def test_opposite(given: Grade, expected: Grade) -> None:
    """The other answer, worth 1 minus the value; an abstention stays one."""
    assert opposite(given) == expected


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_twice(value: float) -> None:
    """The opposite of the opposite is worth the same."""
    again = opposite(opposite(grade(value, passed=value >= 0.5)))
    assert (again.value, again.passed) == (value, value >= 0.5)


def test_is_like_the_other() -> None:
    """Scale and structure are the other's; the metric is its own."""
    negated = parse({"type": "not-similar", "value": "x"})
    assert isinstance(negated, Negated)
    assert negated.metric == "not-similar"
    assert negated.scale is Scale.BOUNDED
    assert not is_structural(negated)
    assert is_structural(parse({"type": "not-contains", "value": "x"}))
