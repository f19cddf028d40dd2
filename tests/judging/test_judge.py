"""A run whose answers are read by a judge, over real HTTP: what it decides, and what where it fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.judging.conftest import Make, Start, answer_in, outside, verdict

DECIDES = "version: 1\nquality: {metrics: {polite: {tier: blocking}}}\n"


def test_a_judged_metric_is_shown_and_does_not_decide(judge_server: Start, workspace: Make) -> None:
    """Its judge is uncalibrated, which the signal says; `pass` rests on the other assertions."""
    judge = judge_server(lambda _: verdict("no"))
    made = workspace(judge.url)
    made.write()

    ran = made.run()

    assert (ran.status, ran.verdict["verdict"]) == (0, "promote"), ran.err
    shown = ran.signal("quality/all/polite")
    assert shown["tier"] == "advisory"
    assert any("judge" in warning for warning in shown["warnings"])
    assert ran.signal("quality/all/pass")["baseline"] == 1.0
    assert len(judge.asked) == 120, "equal answers of both arms are one question"
    assert {score["value"] for score in made.last("scores.jsonl") if score["metric"] == "polite"} == {0.0}


def test_what_the_judge_is_sent(judge_server: Start, workspace: Make) -> None:
    """Temperature 0, a schema, and neither an arm's name nor the answer outside of its quotation."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write(outputs=lambda arm, number: f"secret-{arm == 'candidate'}-{number}", own=lambda _: [])
    made.run()

    assert len(judge.asked) == 240
    body = judge.asked[0]
    assert body["temperature"] == 0
    assert body["response_format"]["json_schema"]["schema"]["properties"]["verdict"]["enum"] == ["yes", "no"]
    for asked in judge.asked:
        said = outside(asked)
        assert "secret" not in said
        assert "is polite" in said
        assert not any(name in json.dumps(asked["messages"]) for name in ("baseline", "candidate", "v1", "v2"))


def test_a_judge_that_decides_uncalibrated_holds(judge_server: Start, workspace: Make) -> None:
    """The policy lets it decide, nobody compared it with people: missing evidence."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write(policy=DECIDES)

    ran = made.run()

    assert (ran.status, ran.verdict["verdict"]) == (3, "hold")
    assert "judge" in ran.signal("quality/all/polite")["reason"]


def test_cases_that_only_a_judge_grades_do_not_promote_by_themselves(judge_server: Start, workspace: Make) -> None:
    """There is no `pass` for them, so that evidence is missing unless a judge's metric decides."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write(own=lambda _: [])

    ran = made.run()

    assert ran.verdict["verdict"] == "hold"
    assert "only a judge grades it" in ran.signal("quality/all/pass")["reason"]


@pytest.mark.parametrize(
    ("garbage", "share"),
    [
        *((garbage, share) for garbage in ("I would say yes.", 500) for share in (0.01, 0.2, 1.0)),
        *((garbage, 0.2) for garbage in (429, b"\x00nonsense", '{"verdict": "yes"}')),
    ],
)
def test_a_failing_judge_is_an_abstention_and_never_a_promote(
    judge_server: Start, workspace: Make, garbage: Any, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it fails on, every answer is kept, `pass` decides alone, and its own metric lacks evidence."""
    monkeypatch.setattr("canary.engines.http.retry.BACKOFF_S", 0.001)
    monkeypatch.setattr("canary.engines.http.rate.SLOWEST", 100.0)
    bad = {str(number) for number in range(max(1, round(120 * share)))}
    judge = judge_server(lambda body: garbage if answer_in(body) in bad else verdict("yes"))
    made = workspace(judge.url)
    made.write(judge="  concurrency: 1\n")

    ran = made.run()

    assert ran.verdict["verdict"] == "promote"
    assert len(made.last("responses.jsonl")) == 240
    missing = [s for s in made.last("scores.jsonl") if s["metric"] == "polite" and s["value"] is None]
    assert len(missing) >= 2 * len(bad)
    assert ran.signal("quality/all/polite")["status"] == "inconclusive"

    made.write(policy=DECIDES, judge="  concurrency: 1\n")
    assert made.run().verdict["verdict"] == "hold"


def test_a_judge_that_is_down_is_not_asked_for_ever(
    judge_server: Start, workspace: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten failures in a row the rest abstains, and standard error says so."""
    monkeypatch.setattr("canary.engines.http.retry.BACKOFF_S", 0.001)
    judge = judge_server(lambda _: 500)
    made = workspace(judge.url)
    made.write(judge="  concurrency: 2\n")

    ran = made.run()

    assert len(judge.asked) < 60
    assert "were not judged: the judge failed 10 times in a row" in ran.err
    assert json.loads(ran.out)["verdict"] == "promote"


def test_a_slow_judge_is_waited_for_no_longer_than_its_time(judge_server: Start, workspace: Make) -> None:
    """What comes too late abstains, and the rest is judged."""
    is_over = threading.Event()

    def say(body: dict[str, Any]) -> str:
        if answer_in(body) == "7":
            is_over.wait(60)
        return verdict("yes")

    judge = judge_server(say)
    made = workspace(judge.url)
    made.write()
    suite = made.folder / "suite.yaml"
    suite.write_text(suite.read_text().replace("timeout_s: 60", "timeout_s: 15"))  # all others have that too

    ran = made.run()
    is_over.set()

    late = [s for s in made.last("scores.jsonl") if s["metric"] == "polite" and s["value"] is None]
    assert [score["id"] for score in late] == ["c7", "c7"]
    assert "the judge failed: server: " in late[0]["reason"]
    assert ran.verdict["verdict"] == "promote"


def test_its_secrets_are_nowhere_in_the_record(
    judge_server: Start, workspace: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is sent, and written down neither as it is nor as the judge repeats it."""
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret-0123")
    judge = judge_server(lambda _: verdict("yes", reason="sk-very-secret-0123"))
    made = workspace(judge.url)
    made.write()
    suite = made.folder / "suite.yaml"
    suite.write_text(suite.read_text().replace("timeout_s: 60", 'timeout_s: 60, api_key: "${JUDGE_KEY}"'))

    ran = made.run()

    kept = [path for path in (made.folder / "runs").rglob("*") if path.is_file()]
    assert len(judge.asked) == 120
    assert any(path.name == "judgements.jsonl" for path in kept)
    assert not [path for path in kept if b"sk-very-secret" in path.read_bytes()]
    assert "sk-very-secret" not in ran.out + ran.err


def test_the_verdict_names_its_judges(judge_server: Start, workspace: Make) -> None:
    """By the digest that a calibration counts for, which the plan holds too."""
    judge = judge_server(lambda _: verdict("yes"))
    made = workspace(judge.url)
    made.write()

    record = made.run().verdict["record"]

    plan = json.loads((made.newest / "plan.json").read_text())
    assert record["judge/polite"] == plan["judges"]["polite"]["digest"]


def test_a_judge_of_its_own_answers_is_warned_of(workspace: Make, canary: Callable[..., Any]) -> None:
    """Models favour what they wrote themselves."""
    made = workspace("http://127.0.0.1:9/v1")
    made.write()
    live = '{name: NAME, engine: openai, model: m, base_url: "http://127.0.0.1:9/v1"}'
    (made.folder / "pipeline.yaml").write_text(
        f"suite: suite.yaml\nbaseline: {live.replace('NAME', 'v1')}\ncandidate: {live.replace('NAME', 'v2')}\n"
    )

    planned = canary("plan", made.folder / "pipeline.yaml", "--allow-underpowered")

    assert "judge 'strict' is the model of 'v1', whose answers it reads" in " ".join(planned.out.split())


@pytest.mark.parametrize("status", [401, 404])
def test_a_judge_that_refuses_us_stops_being_asked(judge_server: Start, workspace: Make, status: int) -> None:
    """A wrong key or model costs one question; the answers are not lost with it."""
    judge = judge_server(lambda _: status)
    made = workspace(judge.url)
    made.write(judge="  concurrency: 1\n")

    ran = made.run()

    assert ran.status == 0
    assert len(judge.asked) <= 2
    assert "the judge cannot be asked: judge 'strict'" in ran.err
