"""A verdict, its evidence and its plan, written by hand."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, StratumPlan
from canary.policy import Policy
from canary.records import (
    Arm,
    Decision,
    Evidence,
    Failure,
    Prompt,
    Response,
    Scale,
    Score,
    Side,
    Signal,
    Status,
    Tier,
    Verdict,
)

MakeSignal = Callable[..., Signal]
MakeEvidence = Callable[..., Evidence]
MakeVerdict = Callable[..., Verdict]
Golden = Callable[[str, str], None]

GOLDEN = Path(__file__).parent.parent / "golden"

PASSING = Signal(
    name="quality/all/pass",
    kind="quality",
    stratum="all",
    metric="pass",
    tier=Tier.BLOCKING,
    status=Status.PASS,
    baseline=0.9,
    candidate=0.9,
    effect="difference",
    estimate=0.0,
    low=-0.012,
    high=0.012,
    margin=0.03,
    n=300,
    method="McNemar mid-p and Tango score",
    p_harm=0.5,
    p_harm_adjusted=1.0,
    p_noninferior=0.001,
    need=None,
    reason="90.0% -> 90.0%: a drop of 3 points is excluded",
    warnings=(),
    runbook=None,
)

CASES: dict[str, tuple[str, str, str, str, str]] = {
    # id: stratum, question, expected, baseline's answer, candidate's answer
    "code-1": ("code", "2**3?", "8", "8", "8"),
    "lookup-1": ("lookup", "What does a pear cost?", "7", "7", "12"),
    "lookup-2": ("lookup", "What does a plum cost?", "3", "3", ""),
    "lookup-3": ("lookup", "What does a fig cost?", "9", "9", "fig: nine dollars\nplus tax"),
    "lookup-4": ("lookup", "What does a kiwi cost?", "4", "5", "4"),
    "math-1": ("math", "12+30?", "42", "42", "41"),
}


@pytest.fixture
def make_signal() -> MakeSignal:
    """A signal that passes, but for what is given."""

    def make(**fields: Any) -> Signal:
        return dataclasses.replace(PASSING, **fields)

    return make


@pytest.fixture
def make_verdict() -> MakeVerdict:
    """A verdict of the given signals."""

    def make(decision: Decision, *signals: Signal, reason: str = "because", **fields: Any) -> Verdict:
        given: dict[str, Any] = {
            "verdict": decision,
            "reason": reason,
            "stage": "staging",
            "baseline": Side(name="v1", digest="1" * 64),
            "candidate": Side(name="v2", digest="2" * 64),
            "alpha": {"rollback": 0.05, "promote": 0.05},
            "signals": signals,
            "composites": (),
            "warnings": (),
            "record": {"plan": "3" * 64},
        }
        return Verdict(**given | fields)

    return make


@pytest.fixture
def make_evidence() -> MakeEvidence:
    """The cases above, scored by equality; outputs and errors may be replaced."""

    def make(
        outputs: dict[str, str] | None = None,
        errors: dict[str, Failure] | None = None,
        cases: dict[str, tuple[str, str, str, str, str]] | None = None,
        scale: Scale = Scale.PASS_FAIL,
    ) -> Evidence:
        prompts, responses, scores = [], [], []
        for id_, (stratum, question, expected, before, after) in (cases or CASES).items():
            prompts.append(_prompt(id_, stratum, question, expected))
            for arm, recorded in ((Arm.BASELINE, before), (Arm.CANDIDATE, after)):
                replaced = (outputs or {}).get(id_) if arm is Arm.CANDIDATE else None
                output = recorded if replaced is None else replaced
                failure = (errors or {}).get(id_) if arm is Arm.CANDIDATE else None
                responses.append(Response(id=id_, arm=arm, output=output, error=failure))
                scores.append(_score(id_, arm, output == expected and failure is None, scale))
        return Evidence(prompts=tuple(prompts), responses=tuple(responses), scores=tuple(scores))

    return make


@pytest.fixture
def plan() -> Plan:
    """A plan under the default policy."""
    return Plan(
        schema="canary-gate/plan/1",
        stage="staging",
        baseline=ReleasePlan(name="v1", digest="1" * 64, release={}),
        candidate=ReleasePlan(name="v2", digest="2" * 64, release={}),
        policy=Policy(),
        suite=Suite(golden_sets=("golden",)),
        strata=(StratumPlan(name="lookup", cases=4, weight=1.0),),
        golden_sha256="4" * 64,
        seed=0,
        versions={},
    )


@pytest.fixture
def golden() -> Golden:
    """Compares a text with a file in tests/golden; UPDATE_GOLDEN=1 rewrites it."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text, encoding="utf-8")

        assert path.read_text(encoding="utf-8") == text

    return compare


@pytest.fixture
def lost_lookup(make_signal: MakeSignal) -> Signal:
    """A stratum that was lost."""
    return make_signal(
        name="quality/lookup/pass",
        stratum="lookup",
        status=Status.FAIL,
        baseline=0.983,
        candidate=0.417,
        estimate=-0.566,
        low=-0.642,
        high=-0.49,
        margin=0.1,
        n=120,
        reason="98.3% -> 41.7%, -56.6 points (90% CI -64.2 to -49.0 points): harm p < 0.0001 <= 0.05",
        runbook="https://runbooks.example/quality",
    )


@pytest.fixture
def open_code(make_signal: MakeSignal) -> Signal:
    """A stratum with too few pairs for its margin."""
    return make_signal(
        name="quality/code/pass",
        stratum="code",
        status=Status.INCONCLUSIVE,
        estimate=-0.02,
        low=-0.142,
        high=0.06,
        margin=0.1,
        n=60,
        need=84,
        reason="90.0% -> 88.0%: a drop of 10 points is not excluded; need >= 144 pairs, have 60",
        warnings=("few pairs", "one pair added at the worst case"),
    )


@pytest.fixture
def measured(make_signal: MakeSignal) -> tuple[Signal, ...]:
    """Latency, errors and cost; an advisory one fails."""
    common: dict[str, Any] = {"stratum": "all", "n": 300}
    ratio: dict[str, Any] = common | {"effect": "ratio", "kind": "latency", "metric": "tm95", "margin": 1.15}
    return (
        make_signal(
            name="errors/server",
            kind="errors",
            metric="server",
            baseline=0.0,
            candidate=0.0067,
            estimate=0.0067,
            low=-0.001,
            high=0.0214,
            **common,
        ),
        make_signal(
            name="latency/ttft/tm95", baseline=0.412, candidate=0.398, estimate=0.966, low=0.93, high=1.004, **ratio
        ),
        make_signal(
            name="latency/total/tm95",
            tier=Tier.ADVISORY,
            status=Status.FAIL,
            baseline=1.84,
            candidate=2.41,
            estimate=1.31,
            low=1.25,
            high=1.38,
            warnings=("few pairs",),
            **ratio,
        ),
        make_signal(
            name="cost/per_request",
            kind="cost",
            metric="per_request",
            effect="ratio",
            baseline=0.00123,
            candidate=0.00131,
            estimate=1.065,
            low=1.01,
            high=1.09,
            margin=1.1,
            **common,
        ),
    )


def _prompt(id_: str, stratum: str, question: str, expected: str) -> Prompt:
    return Prompt(
        id=id_,
        digest="5" * 64,
        stratum=stratum,
        cluster=id_,
        vars={"question": question},
        messages=None,
        expected=expected,
        asserts=(),
    )


def _score(id_: str, arm: Arm, passed: bool, scale: Scale) -> Score:  # noqa: FBT001 - one call, one screen up
    return Score(
        id=id_,
        arm=arm,
        repeat=0,
        metric="pass",
        scale=scale,
        value=float(passed),
        passed=passed,
        reason="" if passed else "equals: not the expected text",
    )
