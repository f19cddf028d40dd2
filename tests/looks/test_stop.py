"""When a run may end before its end, and what its verdict then says."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from canary.calibration import Calibration, Usage
from canary.evaluate import evaluate
from canary.judging import JudgePlan
from canary.looks.stop import Parts, decided, upto
from canary.looks.watch import Watch
from canary.order import checkpoints, visiting_order
from canary.plan import Plan
from canary.records import (
    Arm,
    Decision,
    ErrorKind,
    Evidence,
    Failure,
    Guardrail,
    Label,
    Looks,
    Prompt,
    Response,
    Scale,
    Score,
    Signal,
    Status,
    Verdict,
)
from canary.reporters.document import dump, to_document
from tests.signals.conftest import make_plan, make_prompts, make_scores

Passes = Callable[[int, Prompt], float | None]
"""The score of the n-th case asked; None abstains."""


def always(_: int, __: Prompt) -> float | None:
    """Every case passes."""
    return 1.0


def loses(stratum: str, *, every: int) -> Passes:
    """Every so-manieth case asked fails, in one stratum."""
    return lambda number, prompt: float(prompt.stratum != stratum or number % (2 * every) >= 2)


@dataclass
class Run:
    """A run of live releases over two strata of equal size."""

    candidate: Passes = always
    baseline: Passes = always
    cases: int = 300
    repeat: int = 1
    scale: Scale = Scale.PASS_FAIL
    policy: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of every response."""
    errors: Callable[[int], bool] = lambda _: False
    """Whether the candidate fails on the n-th case asked."""
    early: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """What it obeys."""
        prompts = make_prompts([*"ab"] * (self.cases // 2), None)
        return make_plan(prompts, self.policy, self.repeat, early_stopping=self.early, **self.more)

    @cached_property
    def order(self) -> tuple[Prompt, ...]:
        """Its cases as they are asked."""
        return visiting_order(make_prompts([*"ab"] * (self.cases // 2), None), 0)

    def evidence(self, asked: Sequence[int] | None = None) -> Evidence:
        """All of it, or that of so many numbers in the order of asking."""
        responses: list[Response] = []
        scores: list[Score] = []
        for number in range(self.cases) if asked is None else asked:
            prompt = self.order[number]
            for arm, passes in zip(Arm, (self.baseline, self.candidate), strict=True):
                fails = arm is Arm.CANDIDATE and self.errors(number)
                error = Failure(kind=ErrorKind.SERVER, message="down") if fails else None
                value = 0.0 if fails else passes(number, prompt)
                for k in range(self.repeat):
                    answer = Response(id=prompt.id, arm=arm, output="", repeat=k, error=error, **self.fields)
                    responses.append(answer)
                    scores.append(
                        Score(
                            id=prompt.id, arm=arm, repeat=k, metric="pass", scale=self.scale,
                            value=value, passed=None if value is None else value > 0,
                        )
                    )  # fmt: skip
        return Evidence(prompts=self.order, responses=tuple(responses), scores=tuple(scores))

    def verdict(self, asked: Sequence[int] | None = None) -> Verdict:
        """The verdict on all of it, or on what was asked so far."""
        return evaluate(self.evidence(asked), self.plan)


def looks_of(verdict: Verdict) -> Looks:
    """The verdict's looks."""
    assert verdict.looks is not None
    return verdict.looks


def find(verdict: Verdict, name: str) -> Signal:
    """One signal."""
    return next(signal for signal in verdict.signals if signal.name == name)


LOST = Run(candidate=loses("a", every=2))
"""Half of stratum a is lost: 34 of its cases make it certain, at the look after 75."""


def test_a_lost_stratum_ends_the_run() -> None:
    """Stopped after a quarter, the verdict names the culprit, its number and its bar; the rest is not missing."""
    verdict = LOST.verdict(range(75))
    looks, culprit = looks_of(verdict), find(verdict, "quality/a/pass")

    assert verdict.verdict is Decision.ROLLBACK
    assert (looks.stopped_at, looks.cases, looks.signal, looks.saved) == (75, 300, "quality/a/pass", 0.75)
    assert looks.e_value is not None
    assert looks.e_value >= 100
    assert culprit.status is Status.FAIL
    assert culprit.method.startswith("e-process")
    assert verdict.reason.startswith("quality/a/pass: 100.0% -> ")
    assert ">= 100, and a drop of 10 points is not excluded" in verdict.reason
    assert find(verdict, "quality/b/pass").n == 37
    assert "evidence is missing" not in " ".join(signal.reason for signal in verdict.signals)


def test_the_fixed_test_has_what_the_looks_leave() -> None:
    """A fifth of each promise for the looks, four fifths for the end; the promise itself is what it was."""
    verdict = Run().verdict()
    looks = looks_of(verdict)

    assert verdict.alpha == {"rollback": 0.05, "promote": 0.05}
    assert looks.alpha == {"rollback": 0.01, "promote": 0.01}
    assert looks.final == {"rollback": 0.04, "promote": 0.04}
    assert verdict.verdict is Decision.PROMOTE
    assert "< 0.04" in find(verdict, "quality/a/pass").reason
    assert [looks.stopped_at, looks.signal, looks.e_value, looks.saved] == [None] * 4
    assert Run(early=False).verdict().looks is None
    assert "< 0.05" in find(Run(early=False).verdict(), "quality/a/pass").reason


def test_its_own_share_of_alpha_decides_the_smallest_golden_set() -> None:
    """Zero changed answers exclude 3 points from 100 cases on at 0.04, from 88 at 0.05."""
    small = Run(cases=96, policy={"quality": {"stratum": {"max_drop": 0.3}}})

    assert small.verdict().verdict is Decision.HOLD
    assert replace(small, early=False).verdict().verdict is Decision.PROMOTE
    assert replace(small, cases=100).verdict().verdict is Decision.PROMOTE


def test_a_run_cut_off_without_a_reason_holds() -> None:
    """What nobody asked is missing evidence unless it was certain before."""
    verdict = Run().verdict(range(150))

    assert verdict.verdict is Decision.HOLD
    assert "150 of 300 cases have no baseline response" in verdict.reason
    assert looks_of(verdict).stopped_at is None


def test_a_gap_in_the_order_ends_what_a_look_can_see() -> None:
    """An answer that came before its turn is not looked at: the losses after the gap do not stop the run."""
    verdict = LOST.verdict([number for number in range(300) if number not in {12, 13}])

    assert verdict.verdict is Decision.HOLD
    assert looks_of(verdict).seen == 0


def test_answers_still_in_flight_when_it_was_certain_change_nothing() -> None:
    """The signals of a stopped run are those of the cases before the look, whatever else was answered since."""
    alone, more = LOST.verdict(range(75)), LOST.verdict([*range(75), 76, 77, 80])

    assert alone.signals == more.signals
    assert looks_of(more).saved == pytest.approx(222 / 300)


def test_the_order_of_lines_changes_no_byte() -> None:
    """Looks go by the order of asking, not by that of the journal."""
    evidence = LOST.evidence(range(75))
    shuffled = random.Random(0)
    mixed = replace(
        evidence,
        prompts=tuple(shuffled.sample(evidence.prompts, len(evidence.prompts))),
        responses=tuple(shuffled.sample(evidence.responses, len(evidence.responses))),
        scores=tuple(shuffled.sample(evidence.scores, len(evidence.scores))),
    )

    assert dump(to_document(evaluate(mixed, LOST.plan))) == dump(to_document(evaluate(evidence, LOST.plan)))


@pytest.mark.parametrize("abstains", ["baseline", "candidate"])
def test_an_abstention_silences_its_signals(abstains: str) -> None:
    """A case without a score proves neither harm nor safety; the run goes on, and holds."""
    lost = loses("a", every=2)

    def with_gap(passes: Passes) -> Passes:
        return lambda number, prompt: None if number == 4 else passes(number, prompt)

    arms: dict[str, Passes] = {"baseline": always, "candidate": lost}
    arms[abstains] = with_gap(arms[abstains])
    run = Run(baseline=arms["baseline"], candidate=arms["candidate"])
    silenced = {run.order[4].stratum, "all"}

    verdict = run.verdict()

    stopped = looks_of(verdict).signal
    assert stopped is None or stopped.split("/")[1] not in silenced
    assert find(verdict, "quality/all/pass").status is Status.INCONCLUSIVE


def test_an_errored_answer_is_a_loss_and_errors_stop_a_run_too() -> None:
    """A candidate that fails every fourth request is stopped, by its errors or the score of 0 they have."""
    verdict = Run(errors=lambda number: number % 4 == 0).verdict(range(180))

    assert verdict.verdict is Decision.ROLLBACK
    assert looks_of(verdict).signal in {"errors/server", "quality/a/pass", "quality/b/pass"}


def test_a_bench_that_is_not_stable_stops_nothing() -> None:
    """Where the baseline differs from itself for certain, no harm is."""
    noise = Calibration(
        schema="canary-gate/noise/1", baseline="b" * 64, golden="a" * 64, scoring="c" * 64, repeat=1,
        verdict=Decision.ROLLBACK, reason="it moved", noise=(), latency=(), similar=(),
        usage=Usage(input_tokens=None, output_tokens=None, total_s=None),
    )  # fmt: skip

    assert replace(LOST, more={"calibration": noise}).verdict().verdict is Decision.HOLD


def test_harm_within_the_margin_does_not_stop() -> None:
    """Every stratum may lose 60 points here, so the looks let the certain loss of 50 go on to the end."""
    policy = {"quality": {"max_drop": 0.9, "stratum": {"max_drop": 0.9}}}
    run = replace(LOST, policy=policy, cases=400)

    assert looks_of(run.verdict()).signal is None


def test_only_harm_that_decides_stops() -> None:
    """Under `all` one signal does not roll back alone, and an advisory metric never does."""
    both = {
        "composites": {"rollback": {"all": ["quality/a/pass", "quality/b/pass"]}},
        "false_alarm_rates": {"quality/a/pass": 0.05, "quality/b/pass": 0.05},
    }
    shown = {"quality": {"metrics": {"pass": {"tier": "advisory"}}}}

    for policy in (both, shown):
        assert looks_of(replace(LOST, policy=policy).verdict()).stopped_at is None


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
