"""What is promoted before the end of a run, and what has one look, at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from canary.evaluate import evaluate
from canary.judging import JudgePlan
from canary.looks.stop import Parts, decided, upto
from canary.looks.watch import Watch
from canary.order import checkpoints, visiting_order
from canary.records import (
    Arm,
    Decision,
    Evidence,
    Guardrail,
    Label,
    Response,
    Scale,
)
from tests.looks.conftest import LOST, Run, find, looks_of, loses
from tests.signals.conftest import make_plan, make_prompts, make_scores


def test_promotion_before_the_end_takes_a_proof_of_every_signal() -> None:
    """Some 300 cases a stratum without a difference prove 3 points at the looks' level; errors, too."""
    verdict = Run(cases=800).verdict()
    looks = looks_of(verdict)

    assert verdict.verdict is Decision.PROMOTE
    assert looks.stopped_at is not None
    assert 600 <= looks.stopped_at < 800
    assert {s.method.split(";")[0] for s in verdict.signals} == {"e-process, valid at every look"}


def test_what_needs_a_signature_is_not_promoted_early() -> None:
    """A stratum's proven loss beyond the pooled margin waits for a person, however sure its own margin is."""
    prompts = make_prompts([f"s{i}" for i in range(8)] * 100, None)
    policy = {"quality": {"max_drop": 0.15, "stratum": {"max_drop": 0.4}}}
    plan = make_plan(prompts, policy, 1, early_stopping=True)
    mine = [prompt.id for prompt in visiting_order(prompts, plan.seed) if prompt.stratum == "s0"]
    lost = np.array([float(prompt.id not in mine[1::6]) for prompt in prompts])
    evidence = Evidence(
        prompts=prompts,
        responses=tuple(Response(id=prompt.id, arm=arm, output="") for arm in Arm for prompt in prompts),
        scores=(
            *make_scores(prompts, Arm.BASELINE, np.ones(len(prompts)), Scale.PASS_FAIL),
            *make_scores(prompts, Arm.CANDIDATE, lost, Scale.PASS_FAIL),
        ),
    )

    verdict = evaluate(evidence, plan)

    assert verdict.verdict is Decision.HOLD
    assert find(verdict, "quality/s0/pass").reason.endswith("needs a person's sign-off")


def test_a_judge_whom_another_policy_lets_decide_has_one_look() -> None:
    """Its errors and people's labels are reckoned with at the end only, whatever the run was looked at for."""
    judge = JudgePlan(digest="d" * 64, cases=800)
    shown = {"quality": {"metrics": {"pass": {}, "polite": {"tier": "advisory"}}}}
    decides: dict[str, Any] = {"quality": {"metrics": {"pass": {}, "polite": {}}}}

    run = Run(candidate=loses("a", every=2), more={"judges": {"polite": judge}}, policy=shown)

    assert looks_of(run.verdict()).stopped_at == 75
    assert replace(run, policy=decides).verdict().looks is None


def test_a_judged_margin_is_never_proven_unshrunk() -> None:
    """As the only metric, too: 800 cases alike prove the policy's 3 points early, but not what a judge blurs."""
    run = Run(cases=800, policy={"quality": {"metrics": {"pass": {}}}})
    judge = JudgePlan(digest="d" * 64, cases=800)

    assert looks_of(run.verdict()).stopped_at is not None
    assert replace(run, more={"judges": {"pass": judge}}).verdict().looks is None


def test_cases_that_share_clusters_are_not_looked_at() -> None:
    """One tells of the next, so that bets on them are unfair; a plan that says otherwise is not believed."""
    evidence = LOST.evidence()
    twins = tuple(replace(prompt, cluster=f"c{int(prompt.id[1:]) // 2}") for prompt in evidence.prompts)
    assert looks_of(evaluate(evidence, LOST.plan)).stopped_at == 75

    assert looks_of(evaluate(replace(evidence, prompts=twins), LOST.plan)).stopped_at is None


def test_a_stopped_run_keeps_the_labels_of_its_cases() -> None:
    """What people said of the cases it rests on is shown with them; of later ones it is not."""
    labels = tuple(
        Label(id=LOST.order[number].id, arm=Arm.BASELINE, repeat=0, metric="pass", passed=True) for number in (3, 200)
    )

    assert upto(replace(LOST.evidence(), labels=labels), 75, LOST.plan).labels == labels[:1]


@pytest.mark.parametrize(
    ("fields", "policy"),
    [
        ({"ttft_s": 0.1}, {}),
        ({"cost_usd": 0.1}, {}),
        ({}, {"quality": {"metrics": {"pass": {"min_score": 0.5}}}}),
        ({}, {"quality": {"metrics": {"pass": {}, "unmeasured": {}}}}),
    ],
)
def test_what_has_one_look_keeps_a_promotion_for_the_end(fields: Mapping[str, Any], policy: Mapping[str, Any]) -> None:
    """Latency, cost and floors have no proof before the end, nor has what was not measured."""
    run = Run(cases=800, fields=fields, policy=policy)

    assert looks_of(run.verdict(range(760))).stopped_at is None


@pytest.mark.parametrize("fields", [{"ttft_s": 0.1}, {"guardrail": Guardrail(classes=())}])
def test_what_cannot_be_promoted_early_is_read_for_it_once(fields: Mapping[str, Any]) -> None:
    """A look that reads all there is each time would cost a long run more than it saves."""
    run, reads = Run(cases=800, fields=fields), []
    evidence, watch = run.evidence(), Watch(run.plan)
    parts = Parts(evidence.responses, evidence.scores)

    def so_far() -> Evidence:
        reads.append(watch.cases)
        return parts.of(run.order[: watch.cases])

    for end in checkpoints(800):
        watch.take(parts.of(run.order[watch.cases : end]))
        assert decided(watch, so_far, run.plan) is None

    assert len(reads) == 1
    assert watch.safe()


def test_where_a_guardrail_checks_no_promotion_comes_early() -> None:
    """Classes are known by what they reject, so that none so far proves nothing; harm may stop it."""
    fields = {"guardrail": Guardrail(classes=())}
    verdict = Run(cases=800, fields=fields).verdict()

    assert looks_of(verdict).stopped_at is None
    assert verdict.verdict is Decision.PROMOTE
    assert looks_of(replace(LOST, fields=fields).verdict()).stopped_at == 75


def test_a_promotion_that_was_not_certain_never_comes_from_a_part() -> None:
    """The fixed test would pass on 500 of 800 cases, but a run cut off there holds."""
    assert Run(cases=800).verdict(range(500)).verdict is Decision.HOLD


def test_repeats_count_once() -> None:
    """A case is one value, the mean of its answers; one that lacks an answer ends what is seen."""
    run = Run(candidate=loses("a", every=2), repeat=3)
    evidence = run.evidence(range(75))

    whole = evaluate(evidence, run.plan)
    torn = evaluate(replace(evidence, responses=evidence.responses[1:]), run.plan)

    assert looks_of(whole).stopped_at == 75
    assert looks_of(torn).seen == 0
    assert torn.verdict is Decision.HOLD


@pytest.mark.parametrize("scale", [Scale.BOUNDED, Scale.ORDINAL])
def test_scores_and_grades_stop_as_well(scale: Scale) -> None:
    """Their differences lie in [-1, 1], grades as better or worse."""
    assert looks_of(Run(candidate=loses("a", every=2), scale=scale).verdict()).signal == "quality/a/pass"


def test_scores_without_bounds_have_one_look() -> None:
    """No bet on them is fair."""
    assert looks_of(Run(candidate=loses("a", every=2), scale=Scale.UNBOUNDED).verdict()).stopped_at is None


def test_time_saved_is_that_of_the_answers_not_asked() -> None:
    """225 cases, two arms, 0.5 s each: 225 s."""
    verdict = replace(LOST, fields={"total_s": 0.5}).verdict(range(75))

    assert looks_of(verdict).saved_s == pytest.approx(225)


def test_every_look_agrees_with_the_one_before() -> None:
    """Once certain, a longer run is certain of the same after the same cases."""
    stops = [looks_of(LOST.verdict(range(end))).stopped_at for end in checkpoints(300)]

    assert stops == [None] * 4 + [75] * 16
    assert np.diff(checkpoints(300)).tolist() == [15] * 19
