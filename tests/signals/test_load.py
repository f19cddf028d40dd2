"""Whether an open loop's load was offered: the table of docs/ray.md, "Load", and what must not change beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from canary.evaluate import evaluate
from canary.offered import LoadPlan
from canary.records import Arm, Decision, Evidence, Response, Scale, Signal, Status, Tier, Verdict
from canary.signals.load import LATE_S, MOST, TOLD, load_signals
from tests.signals.conftest import make_plan, make_prompts, make_scores

CASES = 200
LOAD = LoadPlan(shape="poisson", rate=5.0, seconds=40.0)


def sent(late: list[float | None], arm: Arm) -> list[Response]:
    """A response for each lateness in seconds; None was sent at a time that is not known."""
    return [
        Response(
            id=f"c{k:05d}",
            arm=arm,
            output="",
            scheduled_at=1000.0 + k,
            started_at=None if delay is None else 1000.0 + k + delay,
        )
        for k, delay in enumerate(late)
    ]


def verdict(late: list[float | None], lost: int = 0, load: LoadPlan | None = LOAD) -> Verdict:
    """What the gate says of a candidate whose requests were so late, and that lost the first few cases."""
    prompts = make_prompts(["s"] * CASES, None)
    right = np.where(np.arange(CASES) < lost, 0.0, 1.0)
    evidence = Evidence(
        prompts=prompts,
        responses=(*sent([0.0] * CASES, Arm.BASELINE), *sent(late, Arm.CANDIDATE)),
        scores=(
            *make_scores(prompts, Arm.BASELINE, np.ones(CASES), Scale.PASS_FAIL),
            *make_scores(prompts, Arm.CANDIDATE, right, Scale.PASS_FAIL),
        ),
    )
    return evaluate(evidence, make_plan(prompts, {}, 1, load=load))


def late(found: Verdict) -> Signal:
    """`load/late`."""
    return next(signal for signal in found.signals if signal.name == "load/late")


def some(count: int, delay: float | None) -> list[float | None]:
    """So many late requests among all of the candidate's."""
    return [*[delay] * count, *[0.001] * (CASES - count)]


@pytest.mark.parametrize(
    ("count", "delay", "decision", "warned"),
    [
        (CASES, LATE_S - 0.001, Decision.PROMOTE, False),  # not late
        (int(TOLD * CASES), 3.1, Decision.PROMOTE, False),
        (int(TOLD * CASES) + 1, 3.1, Decision.PROMOTE, True),
        (int(MOST * CASES), 3.1, Decision.PROMOTE, True),
        (int(MOST * CASES) + 1, 3.1, Decision.HOLD, False),
        (int(MOST * CASES) + 1, None, Decision.HOLD, False),
        (CASES, -LATE_S / 2, Decision.PROMOTE, False),  # clocks that differ by less than matters
        (int(MOST * CASES) + 1, -9.0, Decision.HOLD, False),
    ],
)
def test_the_table(count: int, delay: float | None, decision: Decision, *, warned: bool) -> None:
    """Up to 1 % late says nothing, up to 5 % warns, more is missing evidence; unknown, or sent early, is late."""
    found = verdict(some(count, delay))
    signal = late(found)

    assert found.verdict is decision
    assert signal.tier is Tier.BLOCKING
    assert bool(signal.warnings) is warned
    assert (signal.baseline, signal.n) == (0.0, CASES)
    assert signal.candidate == pytest.approx(count / CASES if delay is None or abs(delay) > LATE_S else 0)


def test_the_words() -> None:
    """Both numbers, how late, the rule, and what to do."""
    told = "0 of 200 requests of the baseline and 12 of 200 of the candidate were sent more than 100 ms late"

    assert verdict(some(12, 3.1)).reason == (
        f"load/late: evidence is missing: {told}, at most 3.10 s; more than 5% of an arm's, so the load asked for was "
        "not offered: raise 'concurrency', lower the load, or give the client more CPU"
    )
    assert f"{told}, 12 of them at a time that is not known; " in late(verdict(some(12, None))).reason
    assert (
        late(verdict(some(9, 3.1)))
        .warnings[0]
        .startswith(
            "0 of 200 requests of the baseline and 9 of 200 of the candidate were sent more than 100 ms late, at most "
            "3.10 s: the load was milder than asked for; raise 'concurrency'"
        )
    )
    assert late(verdict(some(0, 0.0))).reason.endswith("late: no more than 5% of an arm's")


def test_harm_at_a_milder_load_is_harm() -> None:
    """A load that was not offered never stands between a proven loss and its rollback."""
    assert verdict(some(CASES, 9.0), lost=40).verdict is Decision.ROLLBACK


def test_nothing_else_changes() -> None:
    """Every other signal is what it is in a closed loop, where there is no such signal."""
    closed, open_ = verdict(some(3, 9.0), load=None), verdict(some(3, 9.0))

    assert tuple(signal for signal in open_.signals if signal.name != "load/late") == closed.signals


def test_no_answers_are_no_evidence() -> None:
    """An arm without a request shows nothing."""
    plan = make_plan(make_prompts(["s"], None), {}, 1, load=LOAD)
    (signal,) = load_signals((), plan)

    assert (signal.status, signal.baseline, signal.candidate, signal.n) == (Status.INCONCLUSIVE, None, None, 0)
    assert "0 of 0 requests of the baseline" in signal.reason


def test_the_candidate_alone_is_compared_with_nothing() -> None:
    """The stage `build` compares no latency."""
    plan = make_plan(make_prompts(["s"], None), {}, 1, load=LOAD).model_copy(update={"stage": "build"})

    assert load_signals(sent([9.0], Arm.CANDIDATE), plan) == ()


def test_a_runbook_may_be_named() -> None:
    """As for every other signal."""
    plan = make_plan(make_prompts(["s"], None), {"runbooks": {"load/*": "look at the client"}}, 1, load=LOAD)
    (signal,) = load_signals((), plan)

    assert signal.runbook == "look at the client"


def test_only_an_open_loop_is_part_of_the_question() -> None:
    """The digest is what it was without one; a rate, a speed or a trace changes it, how long it takes does not."""
    plan = make_plan(make_prompts(["s"], None), {}, 1)

    def digest(**fields: Any) -> str:
        return plan.model_copy(update={"load": LOAD.model_copy(update=fields)}).digest()

    assert len({plan.digest(), digest(), digest(rate=6.0), digest(sha256="a"), digest(speed=2.0)}) == 5
    assert digest(seconds=41.0) == digest()
