"""`threshold: learned`: measured once, in the plan, never assumed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.config import load_calibration
from tests.jsonl import write_jsonl

Canary = Callable[..., Any]
SPEC = "{type: similar, value: '{{expected}}', metric: near, threshold: learned}"
CITIES = ("Paris", "Rome", "Oslo")


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """Sixty cases, a baseline, a second recording of it, and a candidate that says something else."""
    rows = [
        {"id": f"c{i}", "vars": {}, "expected": f"The parcel arrives in {CITIES[i % 3]} on Monday."} for i in range(60)
    ]
    said = {
        "golden": rows,
        "v1": [{"id": row["id"], "output": f"Your package reaches {CITIES[i % 3]}."} for i, row in enumerate(rows)],
        "v2": [{"id": row["id"], "output": "Bananas are rich in potassium."} for row in rows],
    }
    for name, lines in said.items():
        write_jsonl(tmp_path / f"{name}.jsonl", lines)
    (tmp_path / "suite.yaml").write_text(f"golden_sets: [golden.jsonl]\nassert: [{SPEC}]\n")
    path = tmp_path / "p.yaml"
    path.write_text(
        "suite: suite.yaml\nrunner: local\n"
        "baseline: {name: v1, engine: replay, responses: v1.jsonl}\n"
        "candidate: {name: v2, engine: replay, responses: v2.jsonl}\n"
    )
    return path


def compare(pipeline: Path, *options: object) -> tuple[object, ...]:
    """`canary compare` on the same files."""
    folder = pipeline.parent
    return ("compare", folder / "v1.jsonl", folder / "v2.jsonl", "--suite", folder / "suite.yaml", *options)


def test_without_a_calibration_nothing_is_assumed(pipeline: Path, canary: Canary) -> None:
    """Each command stops before it asks anything, and names the command that measures."""
    for argv in (("plan", pipeline), ("run", pipeline, "--runs", pipeline.parent / "runs"), compare(pipeline)):
        done = canary(*argv)

        assert done.status == 2
        assert "'threshold: learned' of metric 'near' needs a calibration (got none); canary calibrate" in done.err
        assert "noise" in done.err
    assert "for --calibration" in done.err


@pytest.mark.slow
def test_what_is_measured_is_what_counts(pipeline: Path, canary: Canary) -> None:
    """The calibration scores by what it has just measured; plan, run and compare take the same number."""
    pytest.importorskip("sentence_transformers", reason="needs canary-gate[embeddings]")
    runs = ("--runs", pipeline.parent / "runs")

    measured = canary("calibrate", "noise", pipeline, "--again", pipeline.parent / "v1.jsonl", *runs)
    calibration = load_calibration(pipeline.with_suffix(".noise.json"))
    ran = canary("run", pipeline, *runs, "--json")
    compared = canary(*compare(pipeline, "--calibration", pipeline.with_suffix(".noise.json"), "--json"))

    assert measured.status == 0, measured.err
    [near] = [each for each in calibration.similar if each.metric == "near"]
    assert (near.n, calibration.of("pass", "all") is not None) == (60, True)
    assert ran.verdict["verdict"] == compared.verdict["verdict"] == "rollback"
    [plan] = [
        document
        for path in (pipeline.parent / "runs").glob("*/plan.json")
        if (document := json.loads(path.read_text()))["purpose"] == "gate"
    ]
    assert near.threshold in [each["threshold"] for each in plan["calibration"]["similar"]]
    reasons = {
        json.loads(line)["reason"]
        for path in (pipeline.parent / "runs").glob("*/scores.jsonl")
        for line in path.read_text().splitlines()
        if json.loads(line)["metric"] == "near"
    }
    assert all(f"{near.threshold:g} (learned) to 'The parcel" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("asserts", "said"),
    [
        (f"[{{type: assert-set, metric: s, assert: [{SPEC}]}}]", "must be a number in a set"),
        (f"[{SPEC.replace('similar', 'not-similar')}]", "must be a number under 'not-'"),
        (f"[{SPEC}, {SPEC.replace('expected', 'vars.x')}]", "must be of one assertion (got 2)"),
        ("[{type: similar, value: x, threshold: learnt}]", "must be a number from 0 to 1, or 'learned' (got 'learnt')"),
        ("[{type: similar, value: x, threshold: true}]", "must be a number from 0 to 1, or 'learned' (got True)"),
    ],
)
def test_where_nothing_can_be_learned(pipeline: Path, canary: Canary, asserts: str, said: str) -> None:
    """A score that is not kept, an opposite, a mean of two: refused with a reason."""
    (pipeline.parent / "suite.yaml").write_text(f"golden_sets: [golden.jsonl]\nassert: {asserts}\n")
    again = ("--again", pipeline.parent / "v1.jsonl", "--runs", pipeline.parent / "runs")

    done = canary("calibrate", "noise", pipeline, *again)

    assert done.status == 2
    assert said in done.err


def test_a_threshold_that_tells_nothing_apart_is_refused(pipeline: Path, canary: Canary) -> None:
    """Blank answers of the baseline are close to nothing: 0 would pass every candidate."""
    path = pipeline.parent / "v1.jsonl"
    path.write_text("".join(json.dumps({"id": f"c{i}", "output": ""}) + "\n" for i in range(60)))
    canary("calibrate", "noise", pipeline, "--again", path, "--runs", pipeline.parent / "runs")

    done = canary("plan", pipeline)

    assert done.status == 2
    assert "tells nothing apart (got 0)" in done.err


def test_too_few_answers_measure_nothing(pipeline: Path, canary: Canary) -> None:
    """Eighteen cases are one fewer than 5 % needs: the assertion abstains, and the plan says how many it takes."""
    for name in ("golden", "v1", "v2"):
        path = pipeline.parent / f"{name}.jsonl"
        rows = [
            json.loads(line) | ({} if name == "golden" else {"output": ""}) for line in path.read_text().splitlines()
        ]
        write_jsonl(path, rows[:18])
    canary("calibrate", "noise", pipeline, "--again", pipeline.parent / "v1.jsonl", "--runs", pipeline.parent / "runs")

    done = canary("plan", pipeline)

    assert done.status == 2
    assert "needs a calibration with at least 19 answers to it" in done.err


@pytest.mark.slow
def test_likeness_to_the_baseline_is_learned_from_the_baseline(pipeline: Path, canary: Canary) -> None:
    """How alike its own answers are, twice a case: what is less so is rolled back, what is as much so is not."""
    folder = pipeline.parent
    (folder / "suite.yaml").write_text(
        f"golden_sets: [golden.jsonl]\nrepeat: 2\nassert: [{SPEC.replace('expected', 'baseline')}]\n"
    )
    endings = ("", " It is on its way.", " Thank you for waiting.")
    for name in ("v1", "again", "v2"):
        rng = random.Random(name)
        said = {
            (i, k): f"Your package reaches {CITIES[i % 3]}.{rng.choice(endings)}" for i in range(60) for k in (0, 1)
        }
        rows = [
            {"id": f"c{i}", "repeat": k, "output": "Bananas." if name == "v2" else text}
            for (i, k), text in said.items()
        ]  # fmt: skip
        write_jsonl(folder / f"{name}.jsonl", rows)

    assert canary("calibrate", "noise", pipeline, "--again", folder / "again.jsonl", "--stage", "shadow").status == 0
    calibration = load_calibration(folder / "p.noise.json")
    (learned,) = (each.threshold for each in calibration.similar if each.metric == "near")
    assert 0.5 < learned < 1

    assert canary("run", pipeline, "--stage", "shadow", "--runs", folder / "runs").status == 1
    (folder / "v2.jsonl").write_text((folder / "again.jsonl").read_text())
    unchanged = canary("run", pipeline, "--stage", "shadow", "--runs", folder / "runs", "--json")
    assert unchanged.verdict["verdict"] != "rollback"
    assert (
        f"{learned:g} (learned)"
        in (folder / "runs")
        .joinpath(next(path.name for path in (folder / "runs").iterdir() if path.is_dir()), "scores.jsonl")
        .read_text()
    )
