"""What is measured of a bench, and which runs it serves."""

from __future__ import annotations

import json
import random

import pytest

from canary.config import load_calibration
from canary.pipeline import Pipeline
from canary.records import Arm, ErrorKind, Failure, Response, Scale, Score
from canary.run.capacity import capacity
from canary.run.learned import similarities
from canary.run.load import load
from tests.benches import CASES, Bench, bench, some

__all__ = ["bench"]  # fixture


def test_a_recorded_baseline_needs_a_second_recording(bench: Bench) -> None:
    """One file compared with itself would measure nothing."""
    nothing = bench.canary("calibrate", "noise", bench.pipeline)
    (bench.folder / "again.jsonl").unlink()
    missing = bench.calibrate()

    assert nothing.status == missing.status == 2
    assert "'--again' must name a second recording" in nothing.err
    assert "again.jsonl, which does not exist" in missing.err
    assert not bench.noise.exists()


def test_latency_and_usage_are_measured_where_recorded(bench: Bench) -> None:
    """Blocks from the autocorrelation of paired differences in the order of the clock."""
    rng = random.Random(0)
    for name in ("v1", "again"):
        drift, rows = 0.0, []
        for i in range(CASES):
            drift = 0.9 * drift + rng.gauss(0, 0.05)
            row = {"id": f"c{i}", "output": str(i), "ttft_s": 1 + drift, "total_s": 3.0, "started_at": 1.7e9 + i}
            rows.append(row | {"input_tokens": 10, "output_tokens": 20})
        bench.write(f"{name}.jsonl", rows)
    bench.calibrate()

    document = json.loads(bench.noise.read_text())
    ttft = next(entry for entry in document["latency"] if entry["metric"] == "ttft")

    assert ttft["block"] > 1
    assert ttft["autocorrelation"] > 0.5
    assert document["usage"] == {"input_tokens": 10.0, "output_tokens": 20.0, "total_s": 3.0}


def test_a_live_baseline_takes_no_second_recording(bench: Bench) -> None:
    """It answers for itself, twice; nothing is asked before the mistake is said."""
    live = "baseline: {name: v1, engine: openai, model: m, base_url: 'http://127.0.0.1:9'}"
    bench.pipeline.write_text(
        bench.pipeline.read_text().replace("baseline: {name: v1, engine: replay, responses: v1.jsonl}", live)
    )

    ran = bench.calibrate()

    assert ran.status == 2
    assert "'--again' is for recorded releases" in ran.err


def test_repeats_are_told_from_prompts(bench: Bench) -> None:
    """Answers that differ within a prompt are its variance, not more cases."""
    rng = random.Random(4)
    for name in ("v1", "again"):
        rows = [
            {"id": f"c{i}", "repeat": k, "output": str(i) if rng.random() < 0.8 else "no"}
            for i in range(CASES)
            for k in range(4)
        ]
        bench.write(f"{name}.jsonl", rows)
    bench.write("v2.jsonl", rows)
    (bench.folder / "suite.yaml").write_text("golden_sets: [golden]\nrepeat: 4\n")
    bench.calibrate()

    document = json.loads(bench.noise.read_text())
    pooled = next(entry for entry in document["noise"] if (entry["metric"], entry["stratum"]) == ("pass", "all"))

    assert document["repeat"] == 4
    assert pooled["n"] == CASES
    assert pooled["within"] == pytest.approx(0.16, abs=0.02)
    assert pooled["spread"] == pytest.approx((2 * 0.16 / 4) ** 0.5, rel=0.1)


def test_a_threshold_for_similar_comes_from_the_baseline_s_own() -> None:
    """The 12th smallest of 240 similarities at 5 %; too few answers give none, and an error is no answer."""
    scores = [
        Score(id=f"c{i}", arm=Arm.BASELINE, repeat=0, metric="near", scale=Scale.BOUNDED, value=i / 240, passed=True)
        for i in range(240)
    ]

    failure = Failure(kind=ErrorKind.SERVER, message="down")
    failed = [Response(id="c0", arm=Arm.BASELINE, output="", error=failure)]

    many, few, fewer = (
        tuple(similarities(["near"], part, errors, 0.05))
        for part, errors in ((scores, []), (scores[:18], []), (scores, failed))
    )

    assert [(found.metric, found.n, found.threshold) for found in many] == [("near", 240, 11 / 240)]
    assert few == ()
    assert [(found.n, found.threshold) for found in fewer] == [(239, 12 / 240)]


def test_a_cut_run_goes_on_though_its_bench_was_measured(bench: Bench) -> None:
    """Calibrating meanwhile changes no answer, so it stops nothing; the verdict minds what was found, and says so."""
    assert bench.run().status == 0
    run = next((bench.folder / "runs").iterdir())
    kept = (run / "responses.jsonl").read_bytes().splitlines(keepends=True)[:100]
    (run / "responses.jsonl").write_bytes(b"".join(kept))
    for name in ("scores.jsonl", "verdict.json", "summary.md", "report.html", "manifest.json"):
        (run / name).unlink(missing_ok=True)
    bench.record("again", some(60, 1))
    bench.calibrate()

    resumed = bench.canary("run", "--resume", run, "--json")

    assert resumed.status == 3, resumed.err
    assert json.loads((run / "plan.json").read_bytes())["calibration"] == json.loads(bench.noise.read_bytes())
    assert any(
        warning.startswith("'calibration' changed under this run: plan.json has null, now {")
        for warning in resumed.verdict["warnings"]
    )


def test_recorded_files_may_be_held_against_the_noise_of_a_pipeline(bench: Bench) -> None:
    """`compare` takes the file by name, and warns of a margin below the noise as a run does."""
    bench.record("v1", some(60, 1))
    bench.record("again", some(60, 2))
    bench.calibrate()
    files = (bench.folder / "v1.jsonl", bench.folder / "v1.jsonl", "--golden", bench.folder / "golden")

    plain = bench.canary("compare", *files, "--json")
    minded = bench.canary("compare", *files, "--json", "--calibration", bench.noise)

    assert plain.signal("quality/all/pass")["warnings"] == []
    assert "would pass this margin only" in minded.signal("quality/all/pass")["warnings"][0]


def test_capacity_follows_little_s_law(bench: Bench) -> None:
    """Requests in flight are rate times time; each holds its input and half its output."""
    bench.calibrate()
    bench.change(usage={"input_tokens": 100, "output_tokens": 40, "total_s": 1.5})
    usage = load_calibration(bench.noise).usage
    release = {"name": "a", "engine": "openai", "model": "m", "base_url": "http://localhost:9"}
    live = Pipeline.model_validate({"suite": "s.yaml", "baseline": release, "candidate": release})
    recorded = load(bench.pipeline, stage="staging").pipeline

    here, there = capacity(live, usage, 4.0)

    assert here.startswith("capacity: 8 requests in flight hold about 960 tokens")  # 8 x (100 + 40/2)
    assert "to serve 4 requests/s: 6.0 requests and 720 tokens in flight on average" in there  # 4 x 1.5; x 120
    assert "18 in flight are more than the 8 this pipeline tries" in there  # a minute three times as busy
    assert [*capacity(recorded, usage, 4.0)] == []
    assert "unknown until lengths and times are measured" in next(capacity(live, None, 4.0))


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "many"])
def test_a_rate_that_is_none_is_a_usage_error(bench: Bench, rate: str) -> None:
    """Capacity is only reckoned for a rate above 0."""
    assert bench.canary("plan", bench.pipeline, "--rate", rate).status == 2
