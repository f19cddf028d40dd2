"""What all reports say alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from canary.offered import LoadPlan, lengths
from canary.plan import Plan
from canary.records import Arm, Decision, Evidence, Looks, Observation, Response, Signal, Status, Tier, Verdict
from canary.reporters import html, markdown, terminal
from canary.reporters.sheet import asked_of, interval_name, saving, starts, tabulate

MakeVerdict = Callable[..., Verdict]

STOPPED = Looks(
    alpha={"rollback": 0.01, "promote": 0.01},
    final={"rollback": 0.04, "promote": 0.04},
    cases=750,
    seen=304,
    stopped_at=304,
    signal="quality/lookup/pass",
    e_value=124.4,
    saved=0.5947,
    saved_s=1310.2,
)
SENTENCE = (
    "stopped early: quality/lookup/pass is certain to be worse after 304 of 750 cases (e-value 124 >= 100); "
    "saved 59.5% of the cases, about 1,310 s of both arms together"
)


def test_what_stopping_saved() -> None:
    """Which signal, after how many cases, by what number against what bar, and what it saved."""
    assert saving(STOPPED) == SENTENCE
    assert saving(replace(STOPPED, saved_s=None)) == SENTENCE.split(", about", maxsplit=1)[0]
    assert "every blocking signal is inside its margin after 304" in saving(replace(STOPPED, signal=None))


def test_how_long_servers_took_to_come_up() -> None:
    """By arm, replica and start; nothing where no server said so."""
    told = [(Arm.CANDIDATE, 1, 9.0), (Arm.CANDIDATE, 0, 8.04), (Arm.BASELINE, 0, 7.0)]
    seen = [Observation(arm=arm, replica=k, at=s, values={"started_s": s, "cpu": 0.5}) for arm, k, s in told]
    evidence = Evidence(prompts=(), responses=(), scores=(), observations=tuple(seen))

    assert starts(evidence) == "servers were up after: baseline 7.0 s, candidate 8.0 s, candidate (replica 2) 9.0 s"
    assert starts(Evidence(prompts=(), responses=(), scores=())) == ""


@pytest.mark.parametrize("looks", [None, replace(STOPPED, stopped_at=None, saved=None), replace(STOPPED, saved=0.0)])
def test_a_run_that_went_to_its_end_saved_nothing(looks: Looks | None) -> None:
    """Looks that were never sure, or only at the end, are not worth a sentence."""
    assert saving(looks) == ""


def test_every_report_says_it(
    make_verdict: MakeVerdict, make_evidence: Callable[..., Evidence], plan: Plan, lost_lookup: Signal
) -> None:
    """Terminal, summary and page name what stopped the run; the interval is that of the final test's level."""
    verdict = make_verdict(Decision.ROLLBACK, lost_lookup, looks=STOPPED)
    reports: list[Any] = [module.render(verdict, make_evidence(), plan) for module in (terminal, markdown, html)]

    assert all("stopped early: quality/lookup/pass is certain to be worse after 304" in text for text in reports)
    assert all("92% interval" in text for text in reports)
    assert interval_name(verdict) == "92% interval"


def test_what_was_asked(plan: Plan) -> None:
    """The load, and lengths of each arm where they were counted, with how many were; the trace's beside them."""
    counted = [Response(id=str(k), arm=Arm.BASELINE, output="", input_tokens=1000 + k) for k in range(100)]
    others = [Response(id=str(k), arm=Arm.CANDIDATE, output="", input_tokens=2000) for k in range(3)]
    unknown = Response(id="x", arm=Arm.CANDIDATE, output="")
    evidence = Evidence(prompts=(), responses=(*counted, *others, unknown), scores=())
    load = LoadPlan(shape="trace", rate=2.5, seconds=9, speed=2, input_tokens=lengths([30, 50]))

    told = (
        "prompt tokens, p50/p90/p99/mean: baseline 1,049/1,089/1,098/1,049.5, "
        "candidate 2,000/2,000/2,000/2,000.0 (3 of 4)"
    )

    assert asked_of(evidence, plan) == (told,)
    assert asked_of(evidence, plan.model_copy(update={"load": load})) == (
        "load: the trace at 2 times its speed, 2.5 requests/s on average, to each arm",
        f"{told}, trace 30/50/50/40.0",
    )
    assert asked_of(Evidence(prompts=(), responses=(unknown,), scores=()), plan) == ()


def test_a_distance_that_failed_says_what_it_is(
    make_signal: Callable[..., Signal], make_verdict: MakeVerdict, make_evidence: Callable[..., Evidence], plan: Plan
) -> None:
    """Nothing else in its row does: it has no margin and no interval. A row that has them speaks for itself."""
    found = {"status": Status.FAIL, "tier": Tier.ADVISORY}
    drift = make_signal(name="drift/embedding", kind="drift", margin=None, reason="they moved", **found)
    slower = make_signal(name="latency/total/tm95", kind="latency", effect="ratio", reason="1.2x", **found)
    sheet = tabulate(make_verdict(Decision.PROMOTE, drift, slower), make_evidence(), plan)

    assert sheet.notes == ("they moved",)
    assert [row.marks for row in sheet.rows] == ["¹", ""]
