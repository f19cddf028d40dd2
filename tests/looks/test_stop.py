"""When a run may end before its end because of harm, and what its verdict then says."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from canary.calibration import Calibration, Usage
from canary.evaluate import evaluate
from canary.records import (
    Decision,
    Status,
)
from canary.reporters.document import dump, to_document
from tests.looks.conftest import LOST, Passes, Run, always, find, looks_of, loses


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
