"""The run directory: how it is named, begun and filled."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

from canary.codec import encode
from canary.engines.replay import read_responses
from canary.evidence import (
    RunDirectory,
    create_run,
    load_plan,
    load_run,
    new_run,
    run_id,
    seal,
    write_records,
)
from canary.records import Arm, Evidence
from tests.evidence.conftest import NOW, PLAN, PROMPTS, RESPONSES, SCORES, problems, verify


def test_files_of_a_run() -> None:
    """The names are a contract: other programs read them."""
    run = RunDirectory(Path("r"))
    named = (run.plan, run.prompts, run.responses, run.scores, run.telemetry, run.verdict, run.summary, run.manifest)

    assert [path.as_posix() for path in named] == [
        "r/plan.json",
        "r/prompts.jsonl",
        "r/responses.jsonl",
        "r/scores.jsonl",
        "r/telemetry.jsonl",
        "r/verdict.json",
        "r/summary.md",
        "r/manifest.json",
    ]


def test_run_id_is_time_and_plan() -> None:
    """A run is named by its start in UTC and its plan."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))

    assert run_id(PLAN, elsewhere) == f"20260301T123005Z-{PLAN.digest()[:8]}"


def test_two_runs_in_one_second(runs: Path) -> None:
    """A directory is never used twice."""
    names = [new_run(runs, PLAN, PROMPTS, NOW).path.name for _ in range(3)]

    assert names == [run_id(PLAN, NOW), f"{run_id(PLAN, NOW)}-2", f"{run_id(PLAN, NOW)}-3"]


def test_filled_directory_is_not_reused(tmp_path: Path) -> None:
    """A directory named by the user must be empty, and the error says how to go on."""
    create_run(tmp_path / "out", PLAN, PROMPTS)

    (problem,) = problems(lambda: create_run(tmp_path / "out", PLAN, PROMPTS))

    assert "out is not empty; choose another directory, or continue it with canary run --resume" in problem


def test_empty_directory_is_used(tmp_path: Path) -> None:
    """An empty directory is as good as none."""
    assert create_run(tmp_path, PLAN, PROMPTS).plan.is_file()


def test_plan_survives(open_run: RunDirectory) -> None:
    """The stored plan is the plan, and the same plan is the same bytes."""
    assert load_plan(open_run) == PLAN
    assert load_plan(open_run).digest() == PLAN.digest()
    assert json.loads(open_run.plan.read_bytes())["suite"]["assert"] == [{"type": "equals", "value": "x"}]


def test_finished_run_is_loaded(run: RunDirectory) -> None:
    """Plan and evidence of a finished run come back equal."""
    assert load_run(run.path) == (PLAN, Evidence(prompts=PROMPTS, responses=RESPONSES, scores=SCORES))
    assert verify(run.path) == []


def test_answers_are_recorded_outputs(run: RunDirectory) -> None:
    """The journal of a run can be given to the replay engine, arm by arm."""
    for arm in Arm:
        assert read_responses(run.responses, arm) == tuple(r for r in RESPONSES if r.arm == arm)


def test_hostile_text_in_a_report(open_run: RunDirectory) -> None:
    """A lone surrogate in a document is written as its escape, which JSON reads back."""
    open_run.write("verdict.json", '{"reason": "\ud800"}')

    assert json.loads(open_run.verdict.read_bytes()) == {"reason": "\ud800"}


def test_half_written_file_is_not_there(open_run: RunDirectory) -> None:
    """A file is replaced at once: a failure while writing leaves the old one, and no part of the run."""
    bad = replace(SCORES[0], value=float("nan"))

    problems(lambda: write_records(open_run.scores, [SCORES[0], bad]))

    assert open_run.scores.read_bytes() == b"".join(map(encode, SCORES))
    seal(open_run)
    assert verify(open_run.path) == []
