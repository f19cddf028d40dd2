"""The bench is measured, found again, and never trusted further than it was measured."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.config import load_calibration
from canary.pipeline import Pipeline
from canary.records import Arm, ErrorKind, Failure, Response, Scale, Score
from canary.run.capacity import capacity
from canary.run.learned import similarities
from canary.run.load import load

Canary = Callable[..., Any]
Rows = list[dict[str, Any]]
CASES = 240


class Bench:
    """A recorded pipeline: a baseline, a second recording of it, and a candidate."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self.canary = folder, canary
        self.pipeline = folder / "p.yaml"
        self.noise = folder / "p.noise.json"
        golden = [
            {"id": f"c{i}", "vars": {}, "expected": str(i), "metadata": {"stratum": "ab"[i % 2]}} for i in range(CASES)
        ]
        self.write("golden/prompts.jsonl", golden)
        for name in ("v1", "again", "v2"):
            self.record(name)
        (folder / "suite.yaml").write_text("golden_sets: [golden]\n")
        self.pipeline.write_text(
            "suite: suite.yaml\n"
            "baseline: {name: v1, engine: replay, responses: v1.jsonl}\n"
            "candidate: {name: v2, engine: replay, responses: v2.jsonl}\n"
            "runner: local\n"
        )

    def write(self, name: str, rows: Rows) -> Path:
        """Write one JSONL file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def record(self, name: str, wrong: frozenset[int] = frozenset()) -> None:
        """Record answers of which some are wrong."""
        self.write(f"{name}.jsonl", [{"id": f"c{i}", "output": "no" if i in wrong else str(i)} for i in range(CASES)])

    def calibrate(self, *options: object) -> Any:
        """`canary calibrate noise`, with the second recording."""
        again = self.folder / "again.jsonl"
        runs = ("--runs", self.folder / "bench")
        return self.canary("calibrate", "noise", self.pipeline, "--again", again, *runs, *options)

    def run(self) -> Any:
        """`canary run` on the pipeline."""
        return self.canary("run", self.pipeline, "--runs", self.folder / "runs", "--json")

    def change(self, **changes: Any) -> None:
        """Edit the stored calibration."""
        self.noise.write_text(json.dumps(json.loads(self.noise.read_text()) | changes))


@pytest.fixture
def bench(tmp_path: Path, canary: Canary) -> Bench:
    """A pipeline whose release promotes, and whose baseline repeats itself."""
    return Bench(tmp_path, canary)


HERE, THERE = frozenset(range(15)), frozenset(range(15, 30))
"""Two disjoint sets of cases: two runs of a release that fails now here, now there."""


def some(count: int, seed: int) -> frozenset[int]:
    """`count` cases drawn at random."""
    return frozenset(random.Random(seed).sample(range(CASES), count))


def test_noise_is_kept_beside_the_pipeline(bench: Bench) -> None:
    """Per stratum and pooled, with digests and the gate's own verdict; the same bytes each time."""
    bench.record("v1", frozenset({0, 1}))
    bench.record("again", frozenset({1, 2}))

    ran = bench.calibrate()
    first = bench.noise.read_bytes()
    bench.calibrate()

    assert ran.status == 0, ran.err
    assert bench.noise.read_bytes() == first
    document = json.loads(first)
    assert document["schema"] == "canary-gate/noise/1"
    assert document["verdict"] == "promote"
    noise = {(entry["metric"], entry["stratum"]): entry for entry in document["noise"]}
    assert noise["pass", "all"]["discordance"] == pytest.approx(2 / CASES)
    assert noise["pass", "a"]["discordance"] == pytest.approx(2 / 120)
    assert noise["pass", "b"]["discordance"] == 0.0
    assert noise["pass", "all"]["within"] == pytest.approx(2 * 0.5 / CASES)
    assert str(bench.folder) not in first.decode()
    assert "the baseline against itself: promote" in ran.out


def test_plan_says_where_its_discordance_comes_from(bench: Bench) -> None:
    """Assumed until it is measured, then found without being named, or read from the file that is."""
    before = bench.canary("plan", bench.pipeline)
    bench.record("again", some(24, 0))
    bench.calibrate()
    after = bench.canary("plan", bench.pipeline)
    moved = bench.noise.rename(bench.folder / "moved.json")
    named = bench.canary("plan", bench.pipeline, "--calibration", moved)

    assert "discordance assumed: 5%, no calibration given" in before.out
    assert "discordance measured: 240 cases, the baseline against itself" in after.out
    assert " 10.0%" in after.out
    assert named.out == after.out


def test_the_pipeline_may_name_its_noise(bench: Bench) -> None:
    """`calibration:` is relative to the pipeline; calibrate writes there, and nothing runs before it has."""
    bench.pipeline.write_text(bench.pipeline.read_text() + "calibration: kept/noise.json\n")
    (bench.folder / "kept").mkdir()

    lacking = bench.run()
    bench.calibrate()

    assert lacking.status == 2
    assert "noise.json: does not exist" in lacking.err
    assert (bench.folder / "kept/noise.json").is_file()
    assert bench.run().status == 0


def test_calibrating_changes_no_verdict_of_a_quiet_bench(bench: Bench) -> None:
    """A stored calibration is in the plan and its digest, and warns of nothing."""
    before = bench.run().verdict
    bench.calibrate()
    after = bench.run()

    assert after.verdict["verdict"] == before["verdict"] == "promote"
    assert after.verdict["record"]["plan"] != before["record"]["plan"]
    assert [signal["warnings"] for signal in after.verdict["signals"]] == [s["warnings"] for s in before["signals"]]
    plan = json.loads(
        (max((bench.folder / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns) / "plan.json").read_text()
    )
    assert plan["calibration"]["verdict"] == "promote"


def test_a_replayed_run_keeps_its_calibration(bench: Bench) -> None:
    """The run needs no file: what it was judged by is in its plan."""
    bench.record("again", some(30, 1))
    bench.calibrate()
    first = bench.run()
    bench.noise.unlink()

    again = bench.canary("replay", next((bench.folder / "runs").iterdir()), "--json")

    assert again.out == first.out


def test_a_margin_below_the_noise_says_so(bench: Bench) -> None:
    """At 12.5 % discordance, 240 pairs pass an unchanged release at 3 points less than half of the time."""
    bench.record("v1", HERE)
    bench.record("again", THERE)
    bench.record("v2", frozenset(range(8, 24)))
    bench.calibrate()

    warnings = bench.run().signal("quality/all/pass")["warnings"]

    assert "an unchanged release would pass this margin only" in warnings[0]
    assert warnings[0].endswith("of the time at the measured discordance 12%")


def test_arms_that_agree_too_well_are_suspected(bench: Bench) -> None:
    """A baseline that differs from itself on 30 cases cannot equal another release on all of them."""
    for name, wrong in (("v1", HERE), ("again", THERE), ("v2", HERE)):
        bench.record(name, wrong)
    bench.calibrate()

    warnings = bench.run().signal("quality/all/pass")["warnings"]

    assert "the arms differ on 0 of 240 cases, while the baseline differed from itself on 30 of 240" in warnings[-1]
    assert "cached" in warnings[-1]


def test_an_unstable_bench_holds(bench: Bench) -> None:
    """Where the baseline rolls itself back, nothing it is compared with has evidence."""
    bench.record("again", some(60, 1))
    ran = bench.calibrate()
    assert json.loads(bench.noise.read_text())["verdict"] == "rollback"
    assert "the bench is not stable" in ran.out

    for wrong in (0, 200):  # neither a good candidate nor a broken one can be told from the bench
        bench.record("v2", some(wrong, 3))
        judged = bench.run()

        assert judged.status == 3
        blocking = [signal for signal in judged.verdict["signals"] if signal["tier"] == "blocking"]
        assert {signal["status"] for signal in blocking} == {"inconclusive"}
        assert all("the bench is not stable" in signal["reason"] for signal in blocking)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"baseline": "0" * 64}, "of another baseline"),
        ({"golden": "0" * 64}, "on other cases"),
        ({"scoring": "0" * 64}, "with other assertions"),
        ({"repeat": 2}, "with 2"),
    ],
)
def test_a_stale_calibration_is_said_and_not_used(bench: Bench, change: dict[str, Any], words: str) -> None:
    """Neither its noise nor its rollback speaks for what it did not measure."""
    bench.record("again", some(60, 1))
    bench.calibrate()
    bench.change(**change)

    ran = bench.run()

    assert ran.status == 0, ran.verdict["reason"]
    warning = next(text for text in ran.verdict["warnings"] if "is not used" in text)
    assert f"measured {words}" in warning
    assert "canary calibrate noise" in warning
    assert "assumed: 5%" in bench.canary("plan", bench.pipeline).out


@pytest.mark.parametrize("torn", ["", "{", "[]", "null", '{"schema": "canary-gate/noise/1"}'])
def test_a_torn_calibration_is_refused(bench: Bench, torn: str) -> None:
    """Half a file is not an absent one, and nothing is asked."""
    bench.noise.write_text(torn)

    ran = bench.run()

    assert ran.status == 2
    assert "p.noise.json" in ran.err
    assert "measure it again: canary calibrate noise" in ran.err
    assert not (bench.folder / "runs").exists()


@pytest.mark.parametrize("value", ["NaN", "-0.1", "1.5", "Infinity", "null", '"high"'])
def test_a_discordance_that_is_no_share_is_refused(bench: Bench, value: str) -> None:
    """No NaN enters a plan."""
    bench.calibrate()
    bench.noise.write_text(bench.noise.read_text().replace('"discordance": 0.0', f'"discordance": {value}', 1))

    ran = bench.run()

    assert ran.status == 2
    assert "discordance" in ran.err


def test_a_calibration_of_another_version_is_refused(bench: Bench) -> None:
    """An unknown schema is not read as this one."""
    bench.calibrate()
    bench.change(schema="canary-gate/noise/2")

    assert bench.run().status == 2


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
