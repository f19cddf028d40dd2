"""`{{baseline}}`: answers held against the baseline's next answer to the same case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from canary.assertions.binding import bind
from canary.assertions.embedding import AskOnce
from canary.assertions.scoring import score
from canary.errors import GoldenSetError
from canary.protocols import Embedder, Tools
from canary.records import Arm, ErrorKind, Failure, Prompt, Response

Case = Callable[..., Prompt]
SAME: dict[str, Any] = {"type": "equals", "value": "{{baseline}}", "metric": "same"}
DOWN = Failure(kind=ErrorKind.SERVER, message="503")


def values(
    prompt: Prompt,
    baseline: Sequence[str | None],
    candidate: Sequence[str | None],
    spec: Mapping[str, Any] = SAME,
    embed: Callable[[], Embedder] = lambda: pytest.fail("nothing is embedded"),
) -> dict[Arm, list[float | None]]:
    """The scores of both arms' answers; None is an error of the server."""
    responses = [
        Response(id=prompt.id, arm=arm, repeat=k, output=text or "", error=DOWN if text is None else None)
        for arm, answers in ((Arm.CANDIDATE, candidate), (Arm.BASELINE, baseline))
        for k, text in enumerate(answers)
    ]  # fmt: skip
    found = score([prompt], responses, [spec], Tools(embed=embed), {}, "shadow")
    mine = [each for each in found if each.metric == spec["metric"]]
    return {arm: [each.value for each in mine if each.arm is arm] for arm in Arm}


def test_both_arms_are_held_against_the_same_answer(case: Case) -> None:
    """The k-th answers against the baseline's next, the last ones against its first; nobody against himself."""
    found = values(case(), ["a", "b", "a"], ["b", "a", "x"])

    assert found[Arm.BASELINE] == [0.0, 0.0, 1.0]  # a-b, b-a, a-a
    assert found[Arm.CANDIDATE] == [1.0, 1.0, 0.0]  # b-b, a-a, x-a


def test_an_error_of_the_baseline_is_passed_over(case: Case) -> None:
    """The answer after it stands in; it scores 0 itself, as every error does."""
    found = values(case(), ["a", None, "a"], ["a", "a", "a"])

    assert found[Arm.BASELINE] == [1.0, 0.0, 1.0]
    assert found[Arm.CANDIDATE] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("baseline", [["a", None], ["a"]])
def test_without_another_answer_nothing_is_known(case: Case, baseline: list[str | None]) -> None:
    """An abstention in both arms: neither a pass nor a loss."""
    found = values(case(), baseline, ["a", "a"])

    assert found[Arm.BASELINE][0] is None
    assert found[Arm.CANDIDATE] == [None, 1.0]


def test_an_error_of_the_candidate_scores_0(case: Case) -> None:
    """As for every assertion."""
    assert values(case(), ["a", "a"], [None, "a"])[Arm.CANDIDATE] == [0.0, 1.0]


@pytest.mark.parametrize("kind", ["equals", "not-equals", "not-contains", "similar"])
def test_a_blank_is_nothing_to_be_held_against(case: Case, kind: str) -> None:
    """Two releases that say nothing are not alike, and not unlike either: nobody knows what the answer should be."""
    found = values(case(), [" ", ""], ["", "x"], {"type": kind, "value": "{{baseline}}", "metric": "m"})

    assert found == {Arm.BASELINE: [None, None], Arm.CANDIDATE: [None, None]}


def test_a_blank_of_the_candidate_is_unlike(case: Case) -> None:
    """And a blank of the baseline among answers is passed over, though it scores 0 itself."""
    assert values(case(), ["a", " ", "a"], ["", "a", "a"]) == {
        Arm.BASELINE: [1.0, 0.0, 1.0],
        Arm.CANDIDATE: [0.0, 1.0, 1.0],
    }


def test_any_measure_of_likeness_serves(case: Case, letters: Any) -> None:
    """`similar` embeds each distinct text once; `f1` and templates around the answer work as with `expected`."""
    spec = {"type": "similar", "value": "{{baseline}}", "metric": "m"}
    found = values(case(), ["aab", "aab"], ["aab", "xyz"], spec, lambda: letters)

    assert found == {Arm.BASELINE: [1.0, 1.0], Arm.CANDIDATE: [1.0, 0.0]}
    assert letters.asked == [["aab", "xyz"]]
    f1 = {"type": "f1", "value": "{{ baseline | upper }}", "metric": "m"}
    assert values(case(), ["a cat", "a dog"], ["cat", "cat"], f1)[Arm.CANDIDATE] == [0.0, 1.0]


def test_a_reference_that_one_case_cannot_give_is_its_own_loss(case: Case, letters: Any) -> None:
    """A template that makes nothing of one answer abstains there and nowhere else."""
    spec = {"type": "similar", "value": "{{ baseline | replace('b', '') }}", "metric": "m"}
    found = values(case(), ["b", "a"], ["a", "a"], spec, lambda: letters)

    assert found[Arm.CANDIDATE] == [1.0, None]


def test_what_a_baseline_says_is_no_template(case: Case) -> None:
    """Braces in an answer are text."""
    assert values(case(), ["{{ 1/0 }}", "{{ 1/0 }}"], ["{{ 1/0 }}", ""])[Arm.CANDIDATE] == [1.0, 0.0]


def test_a_cases_own_variable_of_the_name_stands(case: Case) -> None:
    """Golden sets that used the name before mean what they meant; one answer is enough for them."""
    prompt = case(vars={"baseline": "mine"})
    assert values(prompt, ["a"], ["mine"])[Arm.CANDIDATE] == [1.0]
    bound = bind([prompt, case("two")], [SAME], {}, "build")
    assert [len(each.assertions) for each in bound.values()] == [1, 0]


def test_sets_and_opposites_see_it_too(case: Case) -> None:
    """It is looked for wherever a template may stand."""
    spec = {"type": "assert-set", "metric": "m", "assert": [SAME, {"type": "not-contains", "value": "{{baseline}}!"}]}
    found = values(case(), ["a", "a"], ["a", "a!"], spec)

    assert found[Arm.CANDIDATE] == [1.0, 0.0]


def test_build_has_no_baseline(case: Case) -> None:
    """What needs one is left out there, as what needs an embedder is."""
    prompt = case(asserts=({"type": "contains", "value": "x"},))

    (bound,) = bind([prompt], [SAME], {}, "build").values()
    assert [each.metric for each in bound.assertions] == ["contains"]
    (bound,) = bind([prompt], [SAME], {}, "shadow").values()
    assert bound.referring == {0}


def test_a_case_without_a_reference_is_told_of_it(case: Case) -> None:
    """The remedy stands beside the complaint, which is made before a token is spent."""
    with pytest.raises(GoldenSetError, match=r"'expected' is undefined .*'\{\{baseline\}\}'") as caught:
        bind([case("a"), case("b")], [{"type": "similar", "value": "{{expected}}"}], {}, "shadow")
    assert "(also in 1 other cases)" in str(caught.value)


def test_embedding_foresees_it(case: Case, letters: Any) -> None:
    """Every text of a run is embedded in one question."""
    asked = AskOnce(lambda: letters, [])
    spec = {"type": "similar", "value": "{{baseline}}", "metric": "m"}
    values(case(), ["a", "b"], ["c", "d"], spec, lambda: asked)

    assert [sorted(texts) for texts in letters.asked] == [["a", "b", "c", "d"]]
