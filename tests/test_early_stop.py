"""Live runs that end once it is certain: over real HTTP, killed, resumed, replayed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.evidence import RunDirectory, load_evidence, load_plan
from canary.run.load import Overrides, load
from canary.run.scoring import Scoring, score_responses
from tests.conftest import killed_after
from tests.engines.conftest import Reply, Seen, StandIn, serving, words
from tests.jsonl import write_jsonl

Canary = Callable[..., Any]
CASES = 240


def answer(seen: Seen) -> Reply:
    """The number asked for; the model `worse` knows none in stratum a."""
    _, number, _, stratum = seen.body["messages"][-1]["content"].split()
    return words("no" if (seen.body["model"], stratum) == ("worse", "a") else number)


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    """The stand-in, serving from a thread of its own."""
    with serving(answer) as stand_in:
        yield stand_in


@pytest.fixture
def pipeline(tmp_path: Path, server: StandIn) -> Path:
    """A candidate that has lost stratum a, behind the same server as the baseline."""
    cases = [
        {"id": f"c{i}", "vars": {"prompt": f"say {i} in {'ab'[i % 2]}"}, "expected": str(i),
         "metadata": {"stratum": "ab"[i % 2]}}
        for i in range(CASES)
    ]  # fmt: skip
    write_jsonl(tmp_path / "prompts.jsonl", cases)
    (tmp_path / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\n")
    (tmp_path / "policy.yaml").write_text(
        "latency: {ttft: {tm95: null, tm99: null, slow: null}, itl: {tm95: null, tm99: null, slow: null}}\n"
    )
    arms = "".join(
        f"{arm}: {{name: {model}, engine: openai, model: {model}, base_url: {server.url}/v1, "
        "prompt: [{role: user, content: '{{prompt}}'}]}\n"
        for arm, model in (("baseline", "good"), ("candidate", "worse"))
    )
    path = tmp_path / "pipeline.yaml"
    path.write_text(f"suite: suite.yaml\npolicy: policy.yaml\n{arms}runner: local\nconcurrency: 2\n")
    return path


def answers(run: Path) -> list[dict[str, Any]]:
    """The journal."""
    return [json.loads(line) for line in (run / "responses.jsonl").read_bytes().splitlines()]


def only_run(runs: Path) -> Path:
    """The run directory under `runs`."""
    (run,) = (path for path in runs.iterdir() if path.is_dir())
    return run


def test_a_run_stops_once_it_is_certain(canary: Canary, pipeline: Path, tmp_path: Path) -> None:
    """Every pair begun is in the record, the rest is not asked, and replay reads the same verdict out of it."""
    ran = canary("run", pipeline, "--runs", tmp_path / "runs", "--json")
    run, looks = only_run(tmp_path / "runs"), ran.verdict["looks"]

    assert ran.status == 1, ran.err
    assert ran.verdict["reason"].startswith("quality/a/pass: 100.0% -> 0.0%, -100.0 points: harm e-value ")
    assert looks["signal"] == "quality/a/pass"
    assert looks["stopped_at"] < CASES / 3
    assert looks["saved"] == pytest.approx(1 - len(answers(run)) / 2 / CASES)
    assert "stopped early: quality/a/pass is certain to be worse after " in ran.err
    assert re.search(r"quality [+-]\d+\.\d points so far \(", ran.err)
    assert "stopped early: quality/a/pass" in (run / "summary.md").read_text()
    assert canary("verify", run).status == 0
    assert canary("replay", run, "--json").out == ran.out


def test_no_early_stop_asks_every_case(canary: Canary, pipeline: Path, tmp_path: Path) -> None:
    """The whole promise is then the final test's, and nothing is looked at."""
    ran = canary("run", pipeline, "--runs", tmp_path / "runs", "--no-early-stop", "--json")

    assert ran.status == 1, ran.err
    assert ran.verdict["looks"] is None
    assert "<= 0.05" in ran.signal("quality/a/pass")["reason"]
    assert len(answers(only_run(tmp_path / "runs"))) == 2 * CASES


def test_scores_made_in_parts_are_the_scores(canary: Canary, pipeline: Path, tmp_path: Path) -> None:
    """What was scored between looks is what scoring everything at the end would have given."""
    canary("run", pipeline, "--runs", tmp_path / "runs")
    run = RunDirectory(only_run(tmp_path / "runs"))
    plan = load_plan(run)
    evidence = load_evidence(run, plan)

    assert evidence.scores == score_responses(
        evidence.prompts, evidence.responses, plan.suite, stage=plan.stage, learned={}
    )


def test_an_answer_is_scored_once(pipeline: Path, tmp_path: Path, canary: Canary) -> None:
    """Asked again for known answers, scoring asks no assertion again."""
    canary("run", pipeline, "--runs", tmp_path / "runs")
    run = RunDirectory(only_run(tmp_path / "runs"))
    loaded = load(pipeline, stage="staging")
    evidence = load_evidence(run, loaded.plan)
    scoring = Scoring(loaded.suite, stage="staging", embed=lambda: pytest.fail("nothing here is embedded"), learned={})

    first = scoring.of(evidence.prompts, evidence.responses[:10])
    again = scoring.of(evidence.prompts, evidence.responses)

    assert all(old is new for old, new in zip(first, again, strict=False))


@pytest.mark.parametrize("kept", [30, 400])
def test_a_cut_run_is_resumed_in_the_same_order(canary: Canary, pipeline: Path, tmp_path: Path, kept: int) -> None:
    """Cut before the look that decided, it goes on to it; cut after it, nothing more is asked."""
    whole = canary("run", pipeline, "--runs", tmp_path / "whole", "--no-early-stop", "--json")
    assert whole.status == 1
    stopped = canary("run", pipeline, "--runs", tmp_path / "runs", "--json")
    run = only_run(tmp_path / "runs")
    lines = (run / "responses.jsonl").read_bytes().splitlines(keepends=True)
    (run / "responses.jsonl").write_bytes(b"".join(lines[:kept]))
    for name in ("scores.jsonl", "verdict.json", "summary.md", "manifest.json"):
        (run / name).unlink()

    resumed = canary("run", "--resume", run, "--json")

    assert resumed.status == 1, resumed.err
    assert resumed.verdict["looks"]["stopped_at"] == stopped.verdict["looks"]["stopped_at"]
    assert resumed.verdict["reason"] == stopped.verdict["reason"]
    assert {row["id"] for row in answers(run)} == {json.loads(line)["id"] for line in lines}


def test_a_killed_run_decides_as_one_that_was_not(canary: Canary, pipeline: Path, tmp_path: Path) -> None:
    """After kill -9 the same cases are asked, and it stops after as many."""
    stopped = canary("run", pipeline, "--runs", tmp_path / "whole", "--json")
    command = [*killed_after(15), "run", str(pipeline), "--runs", str(tmp_path / "cut")]
    killed = subprocess.run(command, check=False, capture_output=True)
    run = only_run(tmp_path / "cut")

    assert (killed.returncode, len(answers(run))) == (-signal.SIGKILL, 30), killed.stderr.decode()
    resumed = canary("run", "--resume", run, "--json")
    assert resumed.status == 1, resumed.err
    verdict = json.loads((run / "verdict.json").read_text())

    assert verdict["looks"]["stopped_at"] == stopped.verdict["looks"]["stopped_at"]
    assert {row["id"] for row in answers(run)} == {row["id"] for row in answers(only_run(tmp_path / "whole"))}


def test_recorded_releases_and_shared_clusters_are_not_looked_at(pipeline: Path) -> None:
    """Nothing is saved where nothing is asked; and cases of one source are no evidence apart."""
    assert load(pipeline, stage="staging").plan.early_stopping
    assert not load(pipeline, stage="staging", overrides=Overrides(early_stop=False)).plan.early_stopping
    prompts = pipeline.parent / "prompts.jsonl"
    prompts.write_text(prompts.read_text().replace('"stratum"', '"cluster": "one", "stratum"'))
    assert not load(pipeline, stage="staging").plan.early_stopping
    recorded = Path(__file__).resolve().parent.parent / "pipelines" / "recorded.yaml"
    assert not load(recorded, stage="staging").plan.early_stopping


def test_a_resumed_run_keeps_its_levels(canary: Canary, pipeline: Path, tmp_path: Path) -> None:
    """Whether it may stop was decided when it began."""
    canary("run", pipeline, "--runs", tmp_path / "runs")

    ran = canary("run", "--resume", only_run(tmp_path / "runs"), "--no-early-stop")

    assert ran.status == 2
    assert "'--no-early-stop' must not stand beside --resume" in ran.err


def test_the_plan_counts_with_the_levels_of_the_run(canary: Canary, pipeline: Path) -> None:
    """A live plan needs 100 cases for 3 points, one without looks 88."""
    prompts = pipeline.parent / "prompts.jsonl"
    prompts.write_text("".join(line + "\n" for line in prompts.read_text().splitlines()[:80]))

    with_looks, without = canary("plan", pipeline), canary("plan", pipeline, "--no-early-stop")

    assert "fewer than 100: add 20" in " ".join(with_looks.out.split())
    assert "fewer than 88: add 8" in " ".join(without.out.split())


def test_the_plan_says_when_a_run_ends(canary: Canary, pipeline: Path, tmp_path: Path) -> None:
    """One sentence: which loss ends it by which case, or that none is certain before the last."""
    whole = canary("plan", pipeline).out
    cases = (tmp_path / "prompts.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "prompts.jsonl").write_text("".join(cases[:40]))
    small = canary("plan", pipeline, "--allow-underpowered").out

    assert re.search(
        r"^early stopping: a loss of \d+ points in 'a' ends half of such runs by case \d+ of 240", whole, re.MULTILINE
    )
    assert "early stopping: not likely: to be certain of 40 points lost in 'a' takes all 40 cases\n" in small


def test_likeness_to_the_baseline_stops_a_run_too(canary: Canary, pipeline: Path, tmp_path: Path) -> None:
    """Cases are answered in full before they are looked at: nothing is held against an answer that is yet to come."""
    lines = [json.loads(line) for line in (tmp_path / "prompts.jsonl").read_text().splitlines()]
    rows = [{key: value for key, value in case.items() if key != "expected"} for case in lines]
    write_jsonl(tmp_path / "prompts.jsonl", rows)
    (tmp_path / "suite.yaml").write_text(
        "golden_sets: [prompts.jsonl]\nrepeat: 2\nassert: [{type: equals, value: '{{baseline}}', metric: same}]\n"
    )
    ran = canary("run", pipeline, "--stage", "shadow", "--runs", tmp_path / "runs", "--json")
    run = RunDirectory(only_run(tmp_path / "runs"))
    plan = load_plan(run)
    evidence = load_evidence(run, plan)

    assert ran.status == 1, ran.err
    assert ran.verdict["looks"]["stopped_at"] < CASES / 3
    assert ran.signal("quality/b/same")["candidate"] == 1.0
    assert evidence.scores == score_responses(
        evidence.prompts, evidence.responses, plan.suite, stage=plan.stage, learned={}
    )
    assert canary("replay", run.path, "--json").out == ran.out
