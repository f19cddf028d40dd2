"""Which cases flipped, and which are shown first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from canary.records import Arm, Decision, ErrorKind, Evidence, Failure, Scale, Signal, Status, Verdict
from canary.reporters.flips import answered, asked, facts, find_flips

MakeSignal = Callable[..., Signal]
MakeEvidence = Callable[..., Evidence]
MakeVerdict = Callable[..., Verdict]


@pytest.fixture
def rolled_back(make_verdict: MakeVerdict, make_signal: MakeSignal, lost_lookup: Signal) -> Verdict:
    """The lookup stratum fails; the pool passes."""
    return make_verdict(Decision.ROLLBACK, make_signal(), lost_lookup)


def test_failing_stratum_only(rolled_back: Verdict, make_evidence: MakeEvidence) -> None:
    """Where one stratum fails, its flips are the ones to see."""
    flips = find_flips(rolled_back, make_evidence())

    assert [flip.prompt.id for flip in flips.lost] == ["lookup-1", "lookup-2", "lookup-3"]
    assert flips.won == 1
    assert {flip.reason for flip in flips.lost} == {"equals: not the expected text"}


def test_pooled_signal_means_everywhere(
    make_verdict: MakeVerdict, make_signal: MakeSignal, lost_lookup: Signal, make_evidence: MakeEvidence
) -> None:
    """Where the pool fails too, other strata follow the failing ones."""
    pooled = make_signal(status=Status.FAIL, estimate=-0.2)
    flips = find_flips(make_verdict(Decision.ROLLBACK, pooled, lost_lookup), make_evidence())

    assert [flip.prompt.id for flip in flips.lost] == ["lookup-1", "lookup-2", "lookup-3", "math-1"]


def test_deepest_stratum_first(
    make_verdict: MakeVerdict, make_signal: MakeSignal, lost_lookup: Signal, make_evidence: MakeEvidence
) -> None:
    """Failing strata take turns in the order of their drop."""
    math = make_signal(name="quality/math/pass", stratum="math", status=Status.FAIL, estimate=-0.9)
    flips = find_flips(make_verdict(Decision.ROLLBACK, lost_lookup, math), make_evidence())

    assert [flip.prompt.id for flip in flips.lost] == ["math-1", "lookup-1", "lookup-2", "lookup-3"]


def test_strata_take_turns(
    make_verdict: MakeVerdict, make_signal: MakeSignal, lost_lookup: Signal, make_evidence: MakeEvidence
) -> None:
    """Three cases of two lost strata show both; other strata come after all of them."""
    cases = {f"{stratum}-{i}": (stratum, "q", "1", "1", "2") for stratum in ("lookup", "math", "chat") for i in (1, 2)}
    math = make_signal(name="quality/math/pass", stratum="math", status=Status.FAIL, estimate=-0.1)
    chat = make_signal(name="quality/chat/pass", stratum="chat", status=Status.INCONCLUSIVE, estimate=-0.9)
    pooled = make_signal(status=Status.FAIL, estimate=-0.2)
    verdict = make_verdict(Decision.ROLLBACK, pooled, chat, math, lost_lookup)

    assert [flip.prompt.id for flip in find_flips(verdict, make_evidence(cases=cases)).lost] == [
        "lookup-1",
        "math-1",
        "lookup-2",
        "math-2",
        "chat-1",
        "chat-2",
    ]


def test_without_failure_all_are_shown(
    make_verdict: MakeVerdict, make_signal: MakeSignal, make_evidence: MakeEvidence
) -> None:
    """A promoted candidate's flips are shown as well."""
    flips = find_flips(make_verdict(Decision.PROMOTE, make_signal()), make_evidence())

    assert len(flips.lost) == 4


def test_order_of_evidence_does_not_matter(rolled_back: Verdict, make_evidence: MakeEvidence) -> None:
    """The same evidence in another order gives the same flips."""
    evidence = make_evidence()
    turned = Evidence(prompts=evidence.prompts[::-1], responses=evidence.responses[::-1], scores=evidence.scores[::-1])

    assert find_flips(rolled_back, evidence) == find_flips(rolled_back, turned)


def test_scores_without_a_yes_or_no(rolled_back: Verdict, make_evidence: MakeEvidence) -> None:
    """Recorded numbers flip by their value, the deepest drop first."""
    evidence = make_evidence(scale=Scale.BOUNDED)
    values = {("lookup-2", Arm.CANDIDATE): 0.7, ("lookup-3", Arm.CANDIDATE): 0.2, ("lookup-1", Arm.CANDIDATE): 1.0}
    scores = tuple(
        dataclasses.replace(score, passed=None, value=values.get((score.id, score.arm), score.value))
        for score in evidence.scores
    )
    flips = find_flips(rolled_back, dataclasses.replace(evidence, scores=scores))

    assert [(flip.prompt.id, flip.drop) for flip in flips.lost] == [("lookup-3", 0.8), ("lookup-2", pytest.approx(0.3))]


def test_smaller_score_on_the_same_side_is_no_flip(rolled_back: Verdict, make_evidence: MakeEvidence) -> None:
    """Where both pass, a smaller value is no flip."""
    evidence = make_evidence()
    scores = tuple(
        dataclasses.replace(score, passed=True, value=1.0 if score.arm is Arm.BASELINE else 0.9)
        for score in evidence.scores
    )

    assert find_flips(rolled_back, dataclasses.replace(evidence, scores=scores)).lost == ()


def test_abstention_is_no_flip(rolled_back: Verdict, make_evidence: MakeEvidence) -> None:
    """A score that abstains is neither a loss nor a pass."""
    evidence = make_evidence()
    scores = tuple(
        dataclasses.replace(score, passed=None, value=None) if score.arm is Arm.CANDIDATE else score
        for score in evidence.scores
    )

    assert find_flips(rolled_back, dataclasses.replace(evidence, scores=scores)).lost == ()


def test_half_an_answer_is_no_flip(rolled_back: Verdict, make_evidence: MakeEvidence) -> None:
    """A case that one arm never answered cannot be shown side by side."""
    evidence = make_evidence()
    responses = tuple(r for r in evidence.responses if r.arm is Arm.BASELINE)

    assert find_flips(rolled_back, dataclasses.replace(evidence, responses=responses)).lost == ()


def test_no_quality_signal(make_verdict: MakeVerdict, make_evidence: MakeEvidence) -> None:
    """Without a quality signal no metric says what a flip is."""
    flips = find_flips(make_verdict(Decision.HOLD), make_evidence())

    assert (flips.lost, flips.won) == ((), 0)


def test_answered(rolled_back: Verdict, make_evidence: MakeEvidence) -> None:
    """An error stands in the place of an answer; nothing is said to be nothing."""
    error = Failure(kind=ErrorKind.SERVER, message="503")
    flips = find_flips(rolled_back, make_evidence(errors={"lookup-1": error}))

    assert [answered(flip.candidate) for flip in flips.lost[:2]] == ["(server error) 503", "(empty)"]


def test_asked(rolled_back: Verdict, make_evidence: MakeEvidence) -> None:
    """A case is its last turn, its one variable, or all of them by name."""
    prompt = find_flips(rolled_back, make_evidence()).lost[0].prompt
    turns = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Pear?"})

    assert asked(prompt) == "What does a pear cost?"
    assert asked(dataclasses.replace(prompt, vars={"a": 1, "b": "two"})) == "a: 1, b: two"
    assert asked(dataclasses.replace(prompt, messages=turns)) == "Pear?"


def test_facts_leave_out_what_is_not_there(rolled_back: Verdict, make_evidence: MakeEvidence) -> None:
    """A case without an expected answer or a reason shows neither."""
    flip = find_flips(rolled_back, make_evidence()).lost[0]
    bare = dataclasses.replace(flip, reason="", prompt=dataclasses.replace(flip.prompt, expected=None))

    assert [label for label, _ in facts(bare)] == ["asked", "baseline", "candidate"]
