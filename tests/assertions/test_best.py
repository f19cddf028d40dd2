"""`select-best`: both arms' answers, both orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from canary.assertions import parse
from canary.errors import ConfigError
from canary.protocols import Grade, Opinion, Question, Tools
from canary.records import Arm, Prompt, Response

BEST = parse({"type": "select-best", "value": "is friendlier"})
Say = Callable[[str], str | None]


def grades(prompt: Prompt, say: Say, baseline: str | None, candidate: str | None) -> tuple[list[Grade], int]:
    """Both arms' grades, baseline first, and how many questions were asked."""
    asked: set[str] = set()

    def judge(questions: Sequence[Question]) -> Mapping[str, Sequence[Opinion]]:
        asked.update(question.key for question in questions)
        return {q.key: [Opinion(verdict=say(q.messages[1]["content"]), reason="so")] for q in questions}

    arms = ((Arm.BASELINE, baseline), (Arm.CANDIDATE, candidate))
    pairs = [
        (prompt, Response(id=prompt.id, arm=arm, output=output)) for arm, output in arms if output is not None
    ]  # fmt: skip
    return BEST(pairs, Tools(embed=lambda: pytest.fail("nothing is embedded"), judge=judge)), len(asked)


def prefers(word: str) -> Say:
    """A judge that knows what it wants, wherever it stands."""

    def say(content: str) -> str:
        first, second = content.split("<second ")
        return "first" if word in first else "second" if word in second else "tie"

    return say


@pytest.mark.parametrize(("word", "values"), [("warm", [0.0, 1.0]), ("cold", [1.0, 0.0]), ("odd", [0.5, 0.5])])
def test_the_better_answer_wins_in_both_orders(case: Callable[..., Prompt], word: str, values: list[float]) -> None:
    """Two questions, one for each order."""
    found, asked = grades(case(vars={"prompt": "hi"}), prefers(word), "a cold hello", "a warm hello")

    assert [grade.value for grade in found] == values
    assert asked == 2


@pytest.mark.parametrize("always", ["first", "second"])
def test_a_judge_that_goes_by_position_decides_nothing(case: Callable[..., Prompt], always: str) -> None:
    """Its two choices are of different answers: a tie, and the reason says so."""
    found, _ = grades(case(vars={"prompt": "hi"}), lambda _: always, "a", "b")

    assert [grade.value for grade in found] == [0.5, 0.5]
    assert "the choice changes with the order" in found[0].reason


def test_without_a_verdict_both_abstain(case: Callable[..., Prompt]) -> None:
    """Neither arm gains from a judge that is silent in one order."""
    found, _ = grades(
        case(vars={"prompt": "hi"}),
        lambda text: "first" if text.find(">\na\n") < text.find(">\nb\n") else None,
        "a",
        "b",
    )

    assert [grade.value for grade in found] == [None, None]


def test_what_needs_no_judge_asks_none(case: Callable[..., Prompt]) -> None:
    """Equal answers tie; an arm that gave none loses to one that did."""
    prompt = case(vars={"prompt": "hi"})

    assert [[g.value for g in found] for found, asked in [grades(prompt, prefers("x"), "a", "a")] if not asked] == [
        [0.5, 0.5]
    ]
    for baseline, candidate in (("a", None), (None, "a")):
        found, asked = grades(prompt, prefers("x"), baseline, candidate)
        assert ([grade.value for grade in found], asked) == ([1.0], 0)


def test_it_has_no_opposite() -> None:
    """And says so."""
    spec: dict[str, Any] = {"type": "not-select-best", "value": "is friendlier"}
    with pytest.raises(ConfigError, match=r"'assert\.type' must not negate 'select-best'"):
        parse(spec)
