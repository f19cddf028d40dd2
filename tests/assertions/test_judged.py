"""Pointwise judged assertions: how votes become a grade."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from canary.assertions import parse
from canary.assertions.binding import bind
from canary.errors import ConfigError, GoldenSetError
from canary.protocols import Grade, Opinion, Question, Tools
from canary.records import Arm, Prompt, Response, Scale

Y, N, X = "yes", "no", None


def graded(prompt: Prompt, spec: Mapping[str, Any], votes: Sequence[str | None]) -> Grade:
    """The grade where a judge votes so."""

    def judge(questions: Sequence[Question]) -> Mapping[str, Sequence[Opinion]]:
        return {q.key: [Opinion(verdict=vote, reason=f"said {vote}") for vote in votes] for q in questions}

    answer = Response(id=prompt.id, arm=Arm.CANDIDATE, output="hello")
    tools = Tools(embed=lambda: pytest.fail("nothing is embedded"), judge=judge)
    (grade,) = parse({"value": "is polite", **spec})([(prompt, answer)], tools)
    return grade


@pytest.mark.parametrize(
    ("votes", "threshold", "passed"),
    [
        ([Y], 0.5, True),
        ([N], 0.5, False),
        ([X], 0.5, None),
        ([Y, Y, N], 0.5, True),
        ([Y, N, N], 0.5, False),
        ([Y, Y, X], 0.5, True),
        ([N, N, X], 0.5, False),
        ([Y, N, X], 0.5, None),
        ([Y, N], 0.5, True),
        ([Y, Y, N], 1.0, False),
        ([Y, Y, X], 1.0, None),
        ([N, X, X], 1.0, False),
        ([N, N, N], 0.0, False),
        ([Y] * 7 + [N] * 3, 0.7, True),
    ],
)
def test_votes_settle_it_only_where_the_missing_ones_could_not(
    case: Callable[..., Prompt], votes: list[str | None], threshold: float, passed: Any
) -> None:
    """A share of `threshold` must say yes, and never none; the value is the verdict."""
    for kind in ("llm-rubric", "closed-qa"):
        grade = graded(case(), {"type": kind, "threshold": threshold}, votes)
        assert grade.passed is passed
        assert grade.value == (None if passed is None else float(passed))
        negated = graded(case(), {"type": f"not-{kind}", "threshold": threshold}, votes)
        assert negated.passed is (None if passed is None else not passed)


@pytest.mark.parametrize(("letter", "passed"), [("A", True), ("B", True), ("C", True), ("D", False), ("E", True)])
def test_only_a_disagreement_with_the_reference_fails(case: Callable[..., Prompt], letter: str, passed: Any) -> None:
    """Less, more, the same, or a difference that does not matter is no lie."""
    assert graded(case(), {"type": "factuality"}, [letter]).passed is passed


def test_g_eval_is_the_mean_of_the_votes_cast(case: Callable[..., Prompt]) -> None:
    """Out of ten; half of the votes missing is none."""
    spec = {"type": "g-eval", "threshold": 0.7}

    assert graded(case(), spec, ["10", "6", None]).value == pytest.approx(0.8)
    assert graded(case(), spec, ["7"]).passed is True
    assert graded(case(), spec, ["6"]).passed is False
    assert graded(case(), spec, ["10", None]).value is None
    assert parse({**spec, "value": "x"}).scale is Scale.BOUNDED


def test_each_names_its_context(case: Callable[..., Prompt]) -> None:
    """The case's question is quoted, and for factuality the reference."""
    prompt = case(vars={"prompt": "what is it?"}, expected="a cat")
    answer = Response(id=prompt.id, arm=Arm.CANDIDATE, output="a dog")
    for kind, value in (("llm-rubric", "names an animal"), ("factuality", "{{expected}}")):
        assertion: Any = parse({"type": kind, "value": value})
        (asked,) = assertion.questions([(prompt, answer)])
        content = asked.messages[1]["content"]
        assert ">\nwhat is it?\n</question" in content
        assert ">\na dog\n</answer" in content
        assert (">\na cat\n</reference" in content) is (kind == "factuality")


def test_a_rubric_must_say_something(case: Callable[..., Prompt]) -> None:
    """Blank ones are mistakes, whether written so or filled in so."""
    with pytest.raises(ConfigError, match="value"):
        parse({"type": "llm-rubric", "value": ""})
    with pytest.raises(GoldenSetError, match="must be text that is not blank"):
        bind([case(expected=" ")], [{"type": "factuality", "value": "{{expected}}"}], {}, "staging")
