"""Runs under an open loop: over real HTTP, held back, cut off, resumed, replayed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from canary.evidence import RunDirectory, load_plan
from canary.order import visiting_order
from canary.pipeline import Pipeline
from canary.run.load import load
from tests.engines.conftest import Reply, Seen, StandIn, serving, words
from tests.jsonl import write_jsonl

Canary = Callable[..., Any]
ROOT = Path(__file__).resolve().parent.parent
CASES = 120
CLOCKS_S = 0.02
"""What the wall clock may be put right by while a run of seconds lasts."""
BURSTS = [0.0] * 40 + [0.2] * 40 + [0.4] * 40
"""A trace of three bursts."""


def answer(seen: Seen) -> Reply:
    """The number asked for; the model `slow` takes its time."""
    text = seen.body["messages"][-1]["content"].split()[1]
    pause = 0.01 if seen.body["model"] == "slow" else 0.0
    return words(text, pause_s=pause, usage={"prompt_tokens": 10 + int(text) % 3, "completion_tokens": 4})


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    """The stand-in, serving from a thread of its own."""
    with serving(answer) as stand_in:
        yield stand_in


class Bench:
    """A pipeline over 120 cases, both arms behind one server."""

    def __init__(self, folder: Path, server: StandIn, canary: Canary) -> None:
        self.folder, self.server, self.canary = folder, server, canary
        cases = [
            {"id": f"c{i}", "vars": {"prompt": f"say {i}"}, "expected": str(i), "metadata": {"stratum": "ab"[i % 2]}}
            for i in range(CASES)
        ]
        self.lines("prompts.jsonl", cases)
        self.lines("trace.jsonl", [{"timestamp": at, "input_tokens": 900, "output_tokens": 7} for at in BURSTS])
        (folder / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\n")
        (folder / "policy.yaml").write_text(
            "latency: {ttft: {tm95: null, tm99: null, slow: null}, itl: {tm95: null, tm99: null, slow: null}}\n"
        )

    def lines(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write one JSONL file."""
        write_jsonl(self.folder / name, rows)

    def pipeline(self, load: str, *, model: str = "quick", concurrency: int = 64, runner: str = "local") -> Path:
        """The pipeline with a load and a model for both arms."""
        arms = "".join(
            f"{arm}: {{name: {arm[0]}, engine: openai, model: {model}, base_url: {self.server.url}/v1, "
            "prompt: [{role: user, content: '{{prompt}}'}]}\n"
            for arm in ("baseline", "candidate")
        )
        path = self.folder / "pipeline.yaml"
        path.write_text(
            f"suite: suite.yaml\npolicy: policy.yaml\n{arms}runner: {runner}\nconcurrency: {concurrency}\n{load}"
        )
        return path

    def run(self, *options: object) -> Any:
        """`canary run` into `runs/`."""
        where = ("--runs", self.folder / "runs", "--json", "--no-early-stop")
        return self.canary("run", self.folder / "pipeline.yaml", *where, *options)

    @property
    def path(self) -> Path:
        """The only run directory."""
        (run,) = (path for path in (self.folder / "runs").iterdir() if path.is_dir())
        return run

    def journal(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every answer by case and arm."""
        rows = [json.loads(line) for line in (self.path / "responses.jsonl").read_bytes().splitlines()]
        return {(row["id"], row["arm"]): row for row in rows}

    def cut_off(self, lines: int) -> list[bytes]:
        """Leave the run as a crash would: so many lines, which are returned."""
        kept = (self.path / "responses.jsonl").read_bytes().splitlines(keepends=True)[:lines]
        (self.path / "responses.jsonl").write_bytes(b"".join(kept))
        for name in ("scores.jsonl", "verdict.json", "summary.md", "report.html", "manifest.json"):
            (self.path / name).unlink()
        return kept


@pytest.fixture
def bench(tmp_path: Path, server: StandIn, canary: Canary) -> Bench:
    """A pipeline and its files."""
    return Bench(tmp_path, server, canary)


def due(bench: Bench) -> np.ndarray[Any, np.dtype[np.float64]]:
    """When each case was due, in the visiting order, after the first."""
    loaded, journal = load(bench.folder / "pipeline.yaml", stage="staging"), bench.journal()
    order = visiting_order(loaded.golden.prompts, loaded.plan.seed)
    arms = np.array([[journal[case.id, arm]["scheduled_at"] for arm in ("baseline", "candidate")] for case in order])

    assert np.array_equal(arms[:, 0], arms[:, 1])
    return np.asarray(arms[:, 0] - arms[0, 0])


def lateness(bench: Bench) -> list[float]:
    """Seconds after it was due that each request was sent."""
    return [row["started_at"] - row["scheduled_at"] for row in bench.journal().values()]


LOADS = {"poisson": "load: {shape: poisson, rate: 150}\n", "trace": "load: {shape: trace, file: trace.jsonl}\n"}


@pytest.mark.parametrize("shape", LOADS)
def test_arrivals_follow_the_plan(bench: Bench, shape: str) -> None:
    """Both arms of every case are due when the plan has it, in the visiting order; nothing is sent before that."""
    loaded = load(bench.pipeline(LOADS[shape]), stage="staging")
    ran = bench.run()

    assert ran.signal("load/late")["kind"] == "load"
    assert due(bench) == pytest.approx(np.cumsum(loaded.gaps) - loaded.gaps[0], abs=1e-5)
    assert min(lateness(bench)) > -CLOCKS_S
    assert load_plan(RunDirectory(bench.path)).load == loaded.plan.load
    assert bench.canary("verify", bench.path).status == 0
    assert bench.canary("replay", bench.path, "--json").out == ran.out


def test_the_speed_divides_times(bench: Bench) -> None:
    """At twice its speed the trace's bursts are half as far apart."""
    bench.pipeline("load: {shape: trace, file: trace.jsonl, speed: 2}\n")
    bench.run()

    assert due(bench) == pytest.approx(np.array(BURSTS) / 2, abs=1e-5)


def test_a_load_that_was_not_offered_is_a_hold(bench: Bench) -> None:
    """One place for 150 requests a second of 50 ms each: all wait but the first few, and the report says how long."""
    bench.pipeline(LOADS["poisson"], model="slow", concurrency=1)
    ran = bench.run()
    signal = ran.signal("load/late")

    assert ran.status == 3, ran.err
    assert ran.verdict["reason"].startswith("load/late: evidence is missing: 1")
    assert "the load asked for was not offered: raise 'concurrency'" in signal["reason"]
    assert min(signal["baseline"], signal["candidate"]) > 0.9
    assert max(lateness(bench)) > (CASES - 1) * 0.05 - due(bench)[-1] - CLOCKS_S
    assert "load/late" in (bench.path / "report.html").read_text()
    assert bench.canary("replay", bench.path, "--json").out == ran.out


def test_a_resumed_run_schedules_what_is_left(bench: Bench) -> None:
    """Answers that were kept stay as they are, the others come at their gaps; the answers' verdict is the same."""
    bench.pipeline(LOADS["trace"])
    whole = bench.run()
    kept = bench.cut_off(61)
    begun = [json.loads(line)["id"] for line in kept]
    resumed = bench.canary("run", "--resume", bench.path, "--json")
    loaded, journal = load(bench.folder / "pipeline.yaml", stage="staging"), bench.journal()
    order = [case.id for case in visiting_order(loaded.golden.prompts, loaded.plan.seed)]
    left = [(case, gap) for case, gap in zip(order, loaded.gaps, strict=True) if begun.count(case) < 2]
    times = np.array([journal[case, "candidate"]["scheduled_at"] for case, _ in left])

    assert [signal["name"] for signal in resumed.verdict["signals"]] == [s["name"] for s in whole.verdict["signals"]]
    assert resumed.verdict["record"]["plan"] == whole.verdict["record"]["plan"]
    assert len(journal) == 2 * CASES
    assert (bench.path / "responses.jsonl").read_bytes().startswith(b"".join(kept[:60]))
    assert len(left) == CASES - 30
    assert times - times[0] == pytest.approx(np.cumsum([gap for _, gap in left]) - left[0][1], abs=1e-5)
    assert min(lateness(bench)) > -CLOCKS_S
    assert bench.canary("verify", bench.path).status == 0


@pytest.mark.parametrize("changed", ["", "load: {shape: poisson, rate: 151}\n", LOADS["trace"]])
def test_a_resume_under_another_load_is_refused(bench: Bench, changed: str) -> None:
    """Half of the answers under one load and half under another are evidence of neither."""
    bench.pipeline(LOADS["poisson"])
    bench.run()
    bench.cut_off(60)
    bench.pipeline(changed)
    refused = bench.canary("run", "--resume", bench.path)

    assert refused.status == 2
    assert "'load" in refused.err
    assert "changed under this run" in refused.err


def test_a_resume_may_raise_concurrency(bench: Bench) -> None:
    """What bounds an open loop is not the load."""
    bench.pipeline(LOADS["poisson"])
    bench.run()
    bench.cut_off(60)
    bench.pipeline(LOADS["poisson"], concurrency=128)

    assert bench.canary("run", "--resume", bench.path).status != 2


def test_looks_pause_the_schedule(bench: Bench) -> None:
    """With early stopping nothing is late for a look, and what was asked has a time at which it was due."""
    bench.pipeline(LOADS["trace"], concurrency=4)
    ran = bench.canary("run", bench.folder / "pipeline.yaml", "--runs", bench.folder / "runs", "--json")

    assert ran.verdict["looks"]["seen"] > 0
    assert {"scheduled_at", "started_at"} <= set.intersection(*(set(row) for row in bench.journal().values()))
    assert min(lateness(bench)) > -CLOCKS_S
    assert bench.canary("replay", bench.path, "--json").out == ran.out


def test_lengths_are_told_beside_the_trace(bench: Bench) -> None:
    """In the terminal's report, the summary and the page; in a closed loop without the trace's."""
    bench.pipeline(LOADS["trace"])
    bench.run()
    told = "prompt tokens, p50/p90/p99/mean: baseline 11/12/12/11.0, candidate 11/12/12/11.0"
    also = ", trace 900/900/900/900.0"

    assert told + also in bench.canary("replay", bench.path).out
    assert told + also in (bench.path / "summary.md").read_text()
    assert told + also in (bench.path / "report.html").read_text()
    assert (
        "load: the trace at 1 times its speed, 298 requests/s on average, to each arm"
        in bench.canary("replay", bench.path).out
    )
    assert "answer tokens, p50/p90/p99/mean: baseline 4/4/4/4.0" in (bench.path / "summary.md").read_text()


def test_what_a_plan_says(bench: Bench) -> None:
    """Shape, requests and duration; what is in flight only where a calibration timed the baseline."""
    path = bench.pipeline("load: {shape: trace, file: trace.jsonl, speed: 0.1}\n", concurrency=8)
    told = bench.canary("plan", path, "--allow-underpowered").out

    assert "load: the trace at 0.1 times its speed, 29.8 requests/s on average, 120 requests of each arm in 4 s" in told
    assert "load: the trace's prompts have 900 tokens on average, its answers 7\n" in told
    assert "load: whether 'concurrency: 8' holds it is unknown until times are measured" in told
    assert "time: about 4 s, as the load has it, and the last answers" in told
    assert "\nload: " not in bench.canary("plan", bench.pipeline(""), "--allow-underpowered").out


def calibrated(bench: Bench, seconds: float) -> None:
    """A calibration whose answers took so long."""
    noise = bench.folder / "pipeline.noise.json"
    if not noise.exists():
        bench.canary("calibrate", "noise", bench.folder / "pipeline.yaml", "--runs", bench.folder / "noise")
    document = json.loads(noise.read_bytes())
    document["usage"] = {"input_tokens": 11, "output_tokens": 4, "total_s": seconds}
    noise.write_text(json.dumps(document))


def test_a_plan_refuses_what_concurrency_cannot_hold(bench: Bench) -> None:
    """Little's law on the average, and the arrivals themselves at most: refused, told to wait, or held."""
    path = bench.pipeline("load: {shape: trace, file: trace.jsonl, speed: 0.1}\n", concurrency=30)
    found = {}
    for seconds in (0.5, 1.0, 2.0):  # bursts of 40 come at 0, 2 and 4 s: (40 + 40) x seconds / 4 s on average
        calibrated(bench, seconds)
        found[seconds] = re.sub(r"\s+", " ", bench.canary("plan", path, "--allow-underpowered").out)

    waits = "requests of each arm in flight, 40 at most; arrivals beyond 'concurrency' wait, and count as late"
    assert f"load: about 10.0 {waits}" in found[0.5]
    assert f"load: about 20.0 {waits}" in found[1.0]
    assert "cannot hold" not in found[1.0]
    assert "those of these cases 11 and 4 as calibrated" in found[1.0]
    assert (
        "lacking: 'concurrency: 30' cannot hold 29.8 requests/s: by Little's law 40.0 are in flight on average, 40 at "
        "most; set 'concurrency: 40' or more, or lower the load"
    ) in found[2.0]
    assert bench.canary("plan", path).status == 2


def test_the_manual_s_loads_are_loads(bench: Bench) -> None:
    """Both loads of docs/ray.md can be planned as they stand there."""
    block = (ROOT / "docs" / "ray.md").read_text().partition("## Load")[2].split("```")[1].removeprefix("yaml\n")
    (bench.folder / "trace.jsonl").rename(bench.folder / "monday.csv")
    (bench.folder / "monday.csv").write_text("timestamp\n" + "".join(f"{at}\n" for at in range(CASES)))
    bounded, poisson, trace = (line.removeprefix("# ") for line in block.strip().splitlines())

    for written in (poisson, trace):
        pipeline = bench.pipeline("").read_text().replace("concurrency: 64\n", "")
        (bench.folder / "pipeline.yaml").write_text(f"{pipeline}{bounded}\n{written}\n")
        told = bench.canary("plan", bench.folder / "pipeline.yaml", "--allow-underpowered")
        assert f"load: {'Poisson' if written is poisson else 'the trace at 2 times'}" in told.out


def test_every_repeat_and_every_stage_has_its_arrivals(bench: Bench) -> None:
    """A case asked twice arrives twice; a candidate alone is offered the load that both would be."""
    (bench.folder / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\nrepeat: 2\n")
    (bench.folder / "policy.yaml").write_text("quality: {metrics: {pass: {min_score: 0.5}}}\n")
    bench.pipeline("stages: {build: {cases: 20}}\nload: {shape: poisson, rate: 400}\n")
    ran = bench.run("--stage", "build")
    rows = [json.loads(line) for line in (bench.path / "responses.jsonl").read_bytes().splitlines()]

    assert ran.status == 0, ran.err
    assert len({row["scheduled_at"] for row in rows}) == len(rows) == 40
    assert "load/late" not in {signal["name"] for signal in ran.verdict["signals"]}


def test_one_arm_after_the_other_is_offered_the_same_gaps(bench: Bench) -> None:
    """Each arm has the schedule to itself, and the plan says twice its time."""
    path = bench.pipeline(LOADS["trace"], runner="{type: local, sequential: true}")
    told = bench.canary("plan", path, "--allow-underpowered").out
    bench.run()
    loaded, journal = load(path, stage="staging"), bench.journal()
    order = visiting_order(loaded.golden.prompts, loaded.plan.seed)
    baseline, candidate = (
        np.array([journal[case.id, arm]["scheduled_at"] for case in order]) for arm in ("baseline", "candidate")
    )

    assert "time: about 1 s, as the load has it" in told  # two times 0.4 s
    assert baseline - baseline[0] == pytest.approx(BURSTS, abs=1e-5)
    assert candidate - candidate[0] == pytest.approx(BURSTS, abs=1e-5)
    assert candidate[0] > baseline[-1]
    assert min(lateness(bench)) > -CLOCKS_S


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_arms_in_actors_are_offered_the_same(bench: Bench) -> None:
    """Runner `ray` keeps the schedule too."""
    pytest.importorskip("ray", reason="needs canary-gate[ray]")
    bench.pipeline(LOADS["trace"], runner="{type: ray, cpus_per_arm: 0.5}")
    bench.run()

    assert due(bench) == pytest.approx(np.array(BURSTS), abs=1e-5)
    assert min(lateness(bench)) > -CLOCKS_S


REFUSED = {
    "load: {shape: burst}": "'load.shape' must be one of 'poisson', 'trace' (got 'burst')",
    "load: {rate: 5}": "'load.shape' is required: one of 'poisson', 'trace'",
    "load: {shape: poisson}": "'load.rate' is required",
    "load: {shape: poisson, rate: 0}": "'load.rate' must be at least 0.0001 (got 0)",
    "load: {shape: poisson, rate: .nan}": "'load.rate' must be a finite number (got .nan)",
    "load: {shape: poisson, rate: 5, speed: 2}": "'load.speed' is not a known key",
    "load: {shape: trace}": "'load.file' is required",
    "load: {shape: trace, file: none.csv}": "none.csv, which does not exist",
    "load: {shape: trace, file: trace.jsonl, speed: -1}": "'load.speed' must be at least 0.0001 (got -1)",
    "load: {shape: trace, file: short.csv}": "must hold an arrival for each of the 120 requests of an arm (got 1)",
    "load: {shape: trace, file: .}": "is a folder, not a file",
    "load: poisson": "'load' must be a mapping (got 'poisson')",
}


@pytest.mark.parametrize("written", REFUSED)
def test_what_is_refused(bench: Bench, written: str) -> None:
    """Each mistake is a usage error before anything is sent."""
    (bench.folder / "short.csv").write_text("timestamp,input_tokens,output_tokens\n1,2,3\n")
    bench.pipeline(f"{written}\n")
    refused = bench.run()

    assert refused.status == 2
    assert REFUSED[written] in refused.err
    assert not (bench.folder / "runs").exists()


def test_recorded_releases_are_offered_nothing(bench: Bench) -> None:
    """A load for answers that are in a file would be a load that nobody bore."""
    bench.lines("v1.jsonl", [{"id": f"c{i}", "output": str(i)} for i in range(CASES)])
    path = bench.pipeline(LOADS["poisson"])
    text = path.read_text()
    line = next(line for line in text.splitlines() if line.startswith("baseline:"))
    path.write_text(text.replace(line, "baseline: {name: v1, engine: replay, responses: v1.jsonl}"))
    refused = bench.run()

    assert refused.status == 2
    assert "'load' must be left out: nothing is sent to a recorded release (baseline)" in refused.err


def test_hours_are_no_cost_of_a_given_rate() -> None:
    """Where the rate is given, what is paid by the hour costs each request the same: no price could be compared."""
    release = {"engine": "transformers", "model": "m", "name": "v", "price": {"per_replica_hour": 2.5}}
    written = {"suite": "s", "baseline": release, "candidate": release, "load": {"shape": "poisson", "rate": 5}}

    with pytest.raises(
        ValidationError, match=r"leave out one of 'load' and the hourly 'price' \(baseline, candidate\)"
    ):
        Pipeline.model_validate(written)
