"""Answers in, one value a prompt out: repeats are averaged before anything is compared."""

from __future__ import annotations

import numpy as np
import pytest

from canary.codec import golden_digest
from canary.compare import compare
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, StratumPlan
from canary.policy import Policy
from canary.records import Arm, Comparison, Evidence, Prompt, Response, Scale, Score

VALUES = {Arm.BASELINE: (1.0, 1.0, 0.0), Arm.CANDIDATE: (1.0, 0.0, 0.0)}


def make(repeat: int, strata: str, clusters: str) -> tuple[Evidence, Plan]:
    """One case per letter, each answered as `VALUES` says."""
    prompts = tuple(
        Prompt(
            id=f"c{i}",
            digest=f"{i}",
            stratum=stratum,
            cluster=cluster,
            vars={},
            messages=None,
            expected=None,
            asserts=(),
        )
        for i, (stratum, cluster) in enumerate(zip(strata, clusters, strict=True))
    )
    rows = [(prompt.id, arm, k, VALUES[arm][k]) for prompt in prompts for arm in Arm for k in range(repeat)]
    evidence = Evidence(
        prompts=prompts,
        responses=tuple(Response(id=id_, arm=arm, repeat=k, output="") for id_, arm, k, _ in rows),
        scores=tuple(
            Score(id=id_, arm=arm, repeat=k, metric="pass", scale=Scale.PASS_FAIL, value=value, passed=bool(value))
            for id_, arm, k, value in rows
        ),
    )
    side = ReleasePlan(name="r", digest="0" * 64, release={})
    names = sorted(set(strata))
    plan = Plan(
        stage="staging",
        baseline=side,
        candidate=side,
        policy=Policy(),
        suite=Suite(golden_sets=("g",), repeat=repeat),
        strata=tuple(StratumPlan(name=n, cases=strata.count(n), weight=strata.count(n) / len(strata)) for n in names),
        golden_sha256=golden_digest(prompts),
        seed=0,
        versions={},
    )
    return evidence, plan


def pooled(evidence: Evidence, plan: Plan) -> Comparison:
    """The comparison of all strata together."""
    return next(c for c in compare(evidence, plan) if c.name == "quality/all/pass")


def test_three_answers_a_prompt_are_one_value() -> None:
    """Two thirds against one third, four times: four pairs, not twelve."""
    found = pooled(*make(3, "aabb", "wxyz"))

    assert found.n == 4
    assert found.repeat == 3
    assert found.baseline == pytest.approx(np.full(4, 2 / 3))
    assert found.candidate == pytest.approx(np.full(4, 1 / 3))


def test_prompts_of_a_source_share_a_cluster() -> None:
    """Two documents behind five prompts, across strata."""
    found = pooled(*make(1, "aabbb", "xxyyx"))

    assert found.n == 5
    assert len(set(found.clusters.tolist())) == 2
    assert found.clusters[0] == found.clusters[1] == found.clusters[4]
    assert found.strata.tolist() == [0, 0, 1, 1, 1]


def test_one_missing_repeat_leaves_its_prompt_out_and_says_so() -> None:
    """A mean of two answers is not compared with one of three."""
    evidence, plan = make(3, "aabb", "wxyz")
    kept = tuple(r for r in evidence.responses if (r.id, r.arm, r.repeat) != ("c1", Arm.CANDIDATE, 2))
    scores = tuple(s for s in evidence.scores if (s.id, s.arm, s.repeat) != ("c1", Arm.CANDIDATE, 2))

    found = pooled(Evidence(prompts=evidence.prompts, responses=kept, scores=scores), plan)

    assert found.n == 3
    assert found.missing == ("1 of 4 cases have no candidate response: 'c1'",)
