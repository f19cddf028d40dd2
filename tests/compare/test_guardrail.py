"""What a check of content rejects, by class, paired by prompt and in routed traffic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Canary = Callable[..., Any]
Row = dict[str, Any]
Answers = Callable[[int], Row]
CASES = 200
FILTERED = {"error": {"kind": "content_filter", "message": "no"}, "output": None}


def checked(rejected: int, name: str = "violence", **more: Any) -> Answers:
    """Every answer was checked, the first so many rejected."""
    return lambda i: {"guardrail": {"classes": [name] if i < rejected else [], **more}}


@pytest.fixture
def compare(canary: Canary, write_lines: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    """`compare(baseline, candidate, policy=..., golden=..., more=...)`: fields of case i and of the answers to it."""

    def run(
        baseline: Answers,
        candidate: Answers,
        policy: str = "version: 1\n",
        golden: Answers = lambda _: {},
        more: Answers = lambda _: {},
        *options: str,
    ) -> Any:
        rows = [{"id": f"c{i}", "output": "x", **more(i)} for i in range(CASES)]
        files = [
            write_lines(f"{name}.jsonl", [row | of_arm(i) for i, row in enumerate(rows)])
            for name, of_arm in (("baseline", baseline), ("candidate", candidate))
        ]
        cases = [{"id": f"c{i}", "vars": {}, "expected": "x"} | golden(i) for i in range(CASES)]
        (tmp_path / "policy.yaml").write_text(policy)
        asked = () if options else ("--golden", write_lines("prompts.jsonl", cases))
        return canary("compare", *files, *asked, "--policy", tmp_path / "policy.yaml", "--json", *options)

    return run


def names(ran: Any) -> set[str]:
    """The signals about guardrails."""
    return {signal["name"] for signal in ran.verdict["signals"] if "guardrail" in signal["name"]}


def test_a_rise_of_rejections_rolls_back(compare: Callable[..., Any]) -> None:
    """From none to a tenth, of answers that are right otherwise, is beyond two points."""
    ran = compare(checked(0), checked(20))
    signal = ran.signal("guardrail/violence")

    assert ran.status == 1
    assert (signal["status"], signal["tier"], signal["margin"]) == ("fail", "blocking", 0.02)
    assert (signal["baseline"], signal["candidate"]) == pytest.approx((0.0, 0.1))


def test_the_same_rejections_pass(compare: Callable[..., Any]) -> None:
    """Two hundred pairs without a difference exclude two points, and fewer rejections are no harm."""
    assert compare(checked(4), checked(4)).signal("guardrail/violence")["status"] == "pass"
    assert compare(checked(20), checked(0)).signal("guardrail/violence")["status"] == "pass"


def test_classes_are_apart(compare: Callable[..., Any]) -> None:
    """A class that rejects more is not made up for by one that rejects less."""
    ran = compare(checked(20, "hate"), checked(20, "violence"))

    assert names(ran) == {"guardrail/hate", "guardrail/violence"}
    assert (ran.signal("guardrail/hate")["status"], ran.signal("guardrail/violence")["status"]) == ("pass", "fail")


def test_nothing_rejected_is_no_signal(compare: Callable[..., Any]) -> None:
    """A check that lets everything through asks for no more cases; nor is there one where nobody checked."""
    assert names(compare(checked(0), checked(0))) == set()
    assert names(compare(lambda _: {}, lambda _: {})) == set()


def test_a_filter_without_records_is_an_error_only(compare: Callable[..., Any]) -> None:
    """`content_filter` errors alone say nothing of classes; `errors/content_filter` has them."""
    ran = compare(lambda _: {}, lambda i: FILTERED if i < 20 else {})

    assert names(ran) == set()
    assert ran.signal("errors/content_filter")["status"] == "fail"


def test_a_rejection_without_a_class_is_one_of_its_own(compare: Callable[..., Any]) -> None:
    """Among answers that name classes, a filter's error without one is not lost."""
    ran = compare(checked(0), lambda i: FILTERED if i < 20 else checked(0)(i))

    assert ran.signal("guardrail/unspecified")["status"] == "fail"


@pytest.mark.parametrize("arm", ["baseline", "candidate"])
def test_an_arm_without_records_holds(compare: Callable[..., Any], arm: str) -> None:
    """What one arm reports of a class and the other does not is missing evidence."""
    arms = {"baseline": checked(4), "candidate": checked(4)} | {arm: lambda _: {}}
    ran = compare(**arms)

    assert ran.status == 3
    assert f"200 of 200 {arm} responses do not say what a guardrail made of them" in ran.verdict["reason"]


def test_one_answer_without_a_record_holds(compare: Callable[..., Any]) -> None:
    """It may be the one that was rejected; a server that broke before its check may not."""
    ran = compare(checked(4), lambda i: checked(4)(i) if i < CASES - 1 else {})
    broken = compare(checked(4), lambda i: checked(4)(i) if i < CASES - 1 else {"error": {"kind": "server"}})

    assert "1 of 200 candidate responses do not say" in ran.signal("guardrail/violence")["reason"]
    assert ran.status == 3
    assert broken.signal("guardrail/violence")["status"] == "pass"
    assert broken.signal("guardrail/violence")["n"] == CASES - 1


def test_a_class_that_the_policy_names_is_required(compare: Callable[..., Any]) -> None:
    """Its own rule decides, and a run without a check lacks evidence."""
    policy = "guardrail: {classes: {violence: {max_increase: 0.2}}}\n"

    assert compare(checked(0), checked(20), policy).signal("guardrail/violence")["margin"] == 0.2
    assert compare(checked(0), checked(0), policy).signal("guardrail/violence")["status"] == "pass"
    assert compare(lambda _: {}, lambda _: {}, policy).status == 3


def test_an_advisory_class_does_not_decide(compare: Callable[..., Any]) -> None:
    """It is shown as failing, and the release is promoted."""
    ran = compare(checked(0), checked(20), "guardrail: {default: {tier: advisory}}\n")

    assert ran.signal("guardrail/violence")["status"] == "fail"
    assert ran.status == 0


def test_the_time_that_a_check_adds_is_shown(compare: Callable[..., Any]) -> None:
    """A second more never decides; both values are in seconds."""
    ran = compare(checked(0, seconds=0.1), checked(0, seconds=1.1))
    signal = ran.signal("latency/guardrail")

    assert ran.status == 0
    assert (signal["kind"], signal["tier"], signal["status"]) == ("latency", "advisory", "fail")
    assert (signal["baseline"], signal["candidate"], signal["estimate"]) == pytest.approx((0.1, 1.1, 1.0))


def asserted(**keys: Any) -> Answers:
    """The first twenty cases are a red team's: they must be rejected."""
    return lambda i: {"assert": [{"type": "not-guardrails", **keys}]} if i < 20 else {}


def test_a_rejection_that_the_case_asserts_is_no_harm(compare: Callable[..., Any]) -> None:
    """Neither as an error nor as a rejection; to let it through is what fails."""
    stopped: Answers = lambda i: FILTERED | checked(20)(i) if i < 20 else checked(20)(i)  # noqa: E731 - a value
    better = compare(checked(0), stopped, golden=asserted(classes=["violence"]))
    worse = compare(stopped, checked(0), golden=asserted())

    assert better.status == 0, better.verdict["reason"]
    assert worse.status == 1
    assert worse.signal("quality/all/pass")["status"] == "fail"


def test_a_rejection_of_another_class_is_harm(compare: Callable[..., Any]) -> None:
    """A case that asserts one class is not excused by another."""
    stopped: Answers = lambda i: FILTERED | checked(20, "hate")(i) if i < 20 else checked(0)(i)  # noqa: E731 - a value
    ran = compare(checked(0), stopped, golden=asserted(classes=["violence"]))

    assert ran.signal("guardrail/hate")["status"] == "fail"
    assert ran.signal("errors/content_filter")["status"] == "fail"


def test_routed_traffic(compare: Callable[..., Any]) -> None:
    """The same classes as events of two streams, with one look, at the end."""

    def served(i: int) -> Row:
        return {"started_at": 1.7e9 + i, "scores": {"ok": True}}

    def run(candidate: Answers, *options: str) -> Any:
        routed: Answers = lambda i: {"id": f"other{i}"} | candidate(i)  # noqa: E731 - a value
        return compare(checked(0), routed, "version: 1\n", served, served, "--traffic", "--share", "0.5", *options)

    harmed, look = run(checked(40)), run(checked(40), "--look")
    lacking = run(lambda i: FILTERED if i < 9 else {})

    assert harmed.signal("guardrail/violence")["status"] == "fail"
    assert look.signal("guardrail/violence")["status"] == "inconclusive"
    assert "191 of 200 candidate responses do not say" in lacking.signal("guardrail/unspecified")["reason"]
    assert lacking.signal("guardrail/unspecified")["status"] == "inconclusive"
