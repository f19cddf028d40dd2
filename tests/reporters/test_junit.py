"""The file that shows each case as a test."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

from canary.plan import Plan
from canary.records import Arm, Decision, ErrorKind, Evidence, Failure, Scale, Score, Signal, Verdict
from canary.reporters.junit import render

MakeEvidence = Callable[..., Evidence]
MakeSignal = Callable[..., Signal]
MakeVerdict = Callable[..., Verdict]


def suites(text: str) -> dict[str, ET.Element]:
    """The suites of a document that any XML parser reads."""
    return {str(suite.get("name")): suite for suite in ET.fromstring(text)}


def kinds(suite: ET.Element) -> dict[str, str]:
    """What each test of a suite came to."""
    return {str(test.get("name")): next((child.tag for child in test), "passed") for test in suite.iter("testcase")}


def test_a_suite_per_stratum_and_a_test_per_case(
    make_verdict: MakeVerdict, make_signal: MakeSignal, make_evidence: MakeEvidence, plan: Plan
) -> None:
    """A regression fails, a fault of the world is an error, what got better or stayed passes."""
    evidence = make_evidence(errors={"lookup-1": Failure(kind=ErrorKind.SERVER, message="502")})
    found = suites(render(make_verdict(Decision.HOLD, make_signal()), evidence, plan))

    assert {name: kinds(suite) for name, suite in found.items()} == {
        "code": {"code-1": "passed"},
        "lookup": {"lookup-1": "error", "lookup-2": "failure", "lookup-3": "failure", "lookup-4": "passed"},
        "math": {"math-1": "failure"},
    }
    assert {key: found["lookup"].get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "errors": "1",
        "skipped": "0",
    }
    assert found["code"].find("properties/property[@name='verdict']").get("value") == "hold"  # type: ignore[union-attr]


def test_a_dropped_pair_is_skipped(
    make_verdict: MakeVerdict, make_signal: MakeSignal, make_evidence: MakeEvidence, plan: Plan
) -> None:
    """A case that one arm did not answer is neither passed nor failed."""
    whole = make_evidence()
    kept = tuple(r for r in whole.responses if (r.id, r.arm) != ("math-1", Arm.BASELINE))
    evidence = Evidence(prompts=whole.prompts, responses=kept, scores=whole.scores)

    assert kinds(suites(render(make_verdict(Decision.HOLD, make_signal()), evidence, plan))["math"]) == {
        "math-1": "skipped"
    }


def test_an_abstention_is_an_error(
    make_verdict: MakeVerdict, make_signal: MakeSignal, make_evidence: MakeEvidence, plan: Plan
) -> None:
    """A judge that gave no score is trouble of the gate, not of the candidate."""
    whole = make_evidence()
    judged = Score(
        id="code-1", arm=Arm.CANDIDATE, repeat=0, metric="pass", scale=Scale.BOUNDED, value=None, passed=None
    )
    scores = tuple(judged if (s.id, s.arm) == ("code-1", Arm.CANDIDATE) else s for s in whole.scores)
    evidence = Evidence(prompts=whole.prompts, responses=whole.responses, scores=scores)

    assert kinds(suites(render(make_verdict(Decision.HOLD, make_signal()), evidence, plan))["code"]) == {
        "code-1": "error"
    }


def test_hostile_text_is_valid_xml(
    make_verdict: MakeVerdict, make_signal: MakeSignal, make_evidence: MakeEvidence, plan: Plan
) -> None:
    """Controls, markup, entities and half a character come back as text."""
    hostile = "]]>\x00\x1b[31m</failure><x a='&b;\">\ud800\ufffe<!DOCTYPE a [<!ENTITY b 'c'>]>"
    cases = {f"id {hostile}": (f"s {hostile}", hostile, "x", "x", hostile)}
    verdict = make_verdict(Decision.ROLLBACK, make_signal(), reason=hostile)
    text = render(verdict, make_evidence(cases=cases), plan)
    (suite,) = suites(text).values()

    assert list(kinds(suite).values()) == ["failure"]
    assert "\\x00" in str(suite.find("testcase/failure").text)  # type: ignore[union-attr]
    assert text.encode("utf-8").startswith(b'<?xml version="1.0" encoding="UTF-8"?>')


def test_an_empty_run_is_a_document(make_verdict: MakeVerdict, plan: Plan) -> None:
    """No case, no suite, still XML."""
    assert suites(render(make_verdict(Decision.HOLD), Evidence(prompts=(), responses=(), scores=()), plan)) == {}
