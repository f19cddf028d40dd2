"""Synthetic evidence for the whole pure path, from arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from canary.codec import golden_digest
from canary.digest import digest_of
from canary.evaluate import evaluate
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, StratumPlan
from canary.policy import Policy
from canary.records import Arm, Evidence, Measurement, Prompt, Response, Scale, Score, Signal, Verdict

Judge = Callable[..., Verdict]


def make_prompts(strata: Sequence[str], clusters: Sequence[str] | None) -> tuple[Prompt, ...]:
    """One case per stratum named."""
    return tuple(
        Prompt(
            id=f"c{i:05d}",
            digest=digest_of(i),
            stratum=stratum,
            cluster=clusters[i] if clusters else f"c{i:05d}",
            vars={},
            messages=None,
            expected=None,
            asserts=(),
        )
        for i, stratum in enumerate(strata)
    )


def make_plan(prompts: Sequence[Prompt], policy: Mapping[str, Any], repeat: int, **more: Any) -> Plan:
    """A plan over those cases, weighted as they are counted."""
    names = sorted({prompt.stratum for prompt in prompts})
    counts = [sum(prompt.stratum == name for prompt in prompts) for name in names]
    sides: dict[str, Any] = {
        arm.value: ReleasePlan(name=arm, digest=digest_of(arm), release={"engine": "replay"}) for arm in Arm
    }
    facts: dict[str, Any] = {
        "stage": "staging",
        **sides,
        "policy": Policy.model_validate(policy),
        "suite": Suite(golden_sets=("g",), repeat=repeat),
        "strata": tuple(
            StratumPlan(name=name, cases=count, weight=count / len(prompts))
            for name, count in zip(names, counts, strict=True)
        ),
        "golden_sha256": golden_digest(prompts),
        "seed": 0,
        "versions": {},
    }
    return Plan(**(facts | more))


def make_scores(prompts: Sequence[Prompt], arm: Arm, values: Any, scale: Scale) -> tuple[Score, ...]:
    """One score a case and repeat, from an array of shape (cases, repeat) or (cases,)."""
    table = np.asarray(values, dtype=float).reshape(len(prompts), -1)
    return tuple(
        Score(id=prompt.id, arm=arm, repeat=k, metric="pass", scale=scale, value=float(value), passed=bool(value > 0))
        for prompt, row in zip(prompts, table, strict=True)
        for k, value in enumerate(row)
    )


@pytest.fixture
def judge() -> Judge:
    """`judge(baseline, candidate, strata=..., scale=..., policy=..., responses=...)` to a verdict.

    Scores are arrays (cases,) or (cases, repeat); `responses` gives each arm
    a list of one dict of response fields a case.
    """

    def run(
        baseline: Any,
        candidate: Any,
        *,
        strata: Sequence[str] | None = None,
        clusters: Sequence[str] | None = None,
        scale: Scale = Scale.PASS_FAIL,
        policy: Mapping[str, Any] | None = None,
        responses: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]] | None = None,
        telemetry: tuple[Measurement, ...] = (),
        **plan: Any,
    ) -> Verdict:
        cases = len(baseline)
        repeat = np.asarray(baseline).reshape(cases, -1).shape[1]
        prompts = make_prompts(strata or ["s"] * cases, clusters)
        answers = tuple(
            Response(id=prompt.id, arm=arm, output="", repeat=k, **(responses[number][i] if responses else {}))
            for number, arm in enumerate(Arm)
            for i, prompt in enumerate(prompts)
            for k in range(repeat)
        )
        scores = (
            *make_scores(prompts, Arm.BASELINE, baseline, scale),
            *make_scores(prompts, Arm.CANDIDATE, candidate, scale),
        )
        evidence = Evidence(prompts=prompts, responses=answers, scores=scores, telemetry=telemetry)
        return evaluate(evidence, make_plan(prompts, policy or {}, repeat, **plan))

    return run


@pytest.fixture
def find() -> Callable[[Verdict, str], Signal]:
    """`find(verdict, name)` is one signal."""
    return lambda verdict, name: next(signal for signal in verdict.signals if signal.name == name)
