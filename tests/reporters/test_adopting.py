"""A hold's offer is true: adopted, it settles what it was offered for."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
import yaml

from canary.evaluate import evaluate
from canary.plan import Plan, StratumPlan
from canary.policy import Policy
from canary.records import Arm, Evidence, Prompt, Response, Scale, Score, Status, Verdict
from canary.reporters.margins import needs_sign_off, policy_lines
from canary.reporters.ranking import blocking

STRATA = ("a", "b", "c")


def make_evidence(seed: int, drop: float, slower: float) -> Evidence:
    """Sixty cases a stratum; the candidate loses some, and is a bit slower and dearer."""
    rng = random.Random(seed)
    prompts, responses, scores = [], [], []
    for number in range(60 * len(STRATA)):
        stratum = STRATA[number % len(STRATA)]
        id_ = f"{number:03d}"
        prompts.append(
            Prompt(id=id_, digest=id_, stratum=stratum, cluster=id_, vars={}, messages=None, expected=None, asserts=())
        )
        took = rng.lognormvariate(-1, 0.5)
        for arm in Arm:
            losing = arm is Arm.CANDIDATE and rng.random() < drop
            factor = slower * rng.lognormvariate(0, 0.1) if arm is Arm.CANDIDATE else 1.0
            responses.append(Response(id=id_, arm=arm, output="x", ttft_s=took * factor, cost_usd=0.01 * took * factor))
            scores.append(
                Score(
                    id=id_, arm=arm, repeat=0, metric="pass", scale=Scale.PASS_FAIL, value=float(not losing),
                    passed=not losing,
                )
            )  # fmt: skip
    return Evidence(prompts=tuple(prompts), responses=tuple(responses), scores=tuple(scores))


def judge(evidence: Evidence, plan: Plan, policy: dict[str, Any]) -> tuple[Verdict, Policy]:
    """The verdict under a policy as written."""
    strata = tuple(StratumPlan(name=name, cases=60, weight=1 / 3) for name in STRATA)
    changed = plan.model_copy(update={"policy": Policy.model_validate(policy), "strata": strata})
    return evaluate(evidence, changed), changed.policy


def adopt(policy: dict[str, Any], lines: dict[str, Any]) -> dict[str, Any]:
    """The policy file with the lines written into it."""
    merged = dict(policy)
    for key, value in lines.items():
        merged[key] = adopt(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


@pytest.mark.parametrize("floor", [{}, {"max_ratio": 1.001, "floor_s": 0.002}], ids=["ratio", "floor"])
@pytest.mark.parametrize(("drop", "slower"), [(0.02, 1.0), (0.03, 1.1), (0.0, 1.1), (0.015, 1.0)])
@pytest.mark.parametrize("seed", range(3))
def test_adopted_lines_settle_their_signals(
    seed: int, drop: float, slower: float, floor: dict[str, float], plan: Plan
) -> None:
    """Every signal that was offered a margin passes under it, or waits for a person."""
    written = {
        "quality": {"max_drop": 0.01, "stratum": {"max_drop": 0.03}},
        "cost": {"per_request": {"max_ratio": 1.05}},
        "latency": {"ttft": {"tm95": floor}},
    }
    evidence = make_evidence(seed, drop, slower)
    verdict, policy = judge(evidence, plan, written)
    lines = yaml.safe_load(policy_lines(verdict, policy)) or {}
    asked = {signal.name for signal in blocking(verdict, Status.INCONCLUSIVE) if not needs_sign_off(signal)}

    assert asked

    after, _ = judge(evidence, plan, adopt(written, lines))
    left = {s.name for s in blocking(after, Status.INCONCLUSIVE) if not needs_sign_off(s)}

    assert lines
    assert left.isdisjoint(asked)


def test_a_latency_within_a_floor_is_told_and_offered_in_seconds(plan: Plan) -> None:
    """Reason and offer name the rise that the policy tolerates, beside the factor that it is here."""
    written = {"latency": {"ttft": {"tm95": {"max_ratio": 1.001, "floor_s": 0.002}}}}

    verdict, policy = judge(make_evidence(1, 0.0, 1.0), plan, written)
    (signal,) = (signal for signal in verdict.signals if signal.name == "latency/ttft/tm95")
    offered = yaml.safe_load(policy_lines(verdict, policy))

    assert signal.status is Status.INCONCLUSIVE
    assert re.search(r": a rise of 2\.00 ms \(1\.\d+x the baseline\) is not excluded", signal.reason)
    assert list(offered["latency"]["ttft"]["tm95"]) == ["floor_s"]


def test_missing_evidence_is_offered_nothing(plan: Plan) -> None:
    """Where answers are missing no margin helps, and none is offered."""
    evidence = make_evidence(0, 0.0, 1.0)
    cut = Evidence(
        prompts=evidence.prompts,
        responses=evidence.responses[:-1],
        scores=tuple(score for score in evidence.scores if (score.id, score.arm) != ("179", Arm.CANDIDATE)),
    )
    verdict, policy = judge(cut, plan, {})
    named = {signal.name for signal in blocking(verdict, Status.INCONCLUSIVE)}

    assert {"quality/all/pass", "quality/c/pass", "errors/server", "cost/per_request"} <= named
    assert policy_lines(verdict, policy) == ""
