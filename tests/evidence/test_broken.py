"""What does not fit its own plan is refused, saying what and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from canary.evidence import (
    RunDirectory,
    load_evidence,
    load_plan,
    write_records,
)
from canary.records import Arm, Observation, Prompt, Response, Score
from tests.evidence.conftest import PLAN, PROMPTS, RESPONSES, SCORES, problems


def rewrite(name: str, *records: Prompt | Response | Score) -> Callable[[RunDirectory], None]:
    """Breaks a run by writing other records into one of its files."""
    return lambda run: write_records(run.path / name, records)


BROKEN: dict[str, tuple[Callable[[RunDirectory], object], str]] = {
    "no scores yet": (lambda run: run.scores.unlink(), "is not finished: scores.jsonl missing"),
    "no answers": (lambda run: run.responses.unlink(), "is not finished: responses.jsonl missing"),
    "a case less": (rewrite("prompts.jsonl", *PROMPTS[:2]), "holds other cases than plan.json: golden_sha256 "),
    "a case twice": (rewrite("prompts.jsonl", *PROMPTS, PROMPTS[1]), "case 'c1' stands there 2 times"),
    "an unknown case": (
        rewrite("responses.jsonl", *RESPONSES, replace(RESPONSES[0], id="c9")),
        "responses.jsonl: 'c9' is no case of this run",
    ),
    "an answer twice": (
        rewrite("responses.jsonl", *RESPONSES, RESPONSES[3]),
        "responses.jsonl: c1 candidate 0 stands there 2 times",
    ),
    "a score twice": (
        rewrite("scores.jsonl", *SCORES, replace(SCORES[0], value=0.0)),
        "scores.jsonl: c0 baseline 0 exact stands there 2 times",
    ),
    "a score of nothing": (
        rewrite("scores.jsonl", *SCORES, replace(SCORES[0], repeat=1)),
        "scores.jsonl: a score of an answer that is not there: c0 baseline 1",
    ),
    "a torn answer": (
        lambda run: run.responses.write_bytes(run.responses.read_bytes()[:-5]),
        "responses.jsonl:6: the last line is torn",
    ),
    "a broken score": (
        lambda run: run.scores.write_bytes(run.scores.read_bytes().replace(b"1.0", b"NaN", 1)),
        "scores.jsonl:1: 'value': Input should be a finite number",
    ),
}


@pytest.mark.parametrize(("how", "problem"), BROKEN.values(), ids=BROKEN)
def test_broken_evidence_is_named(open_run: RunDirectory, how: Callable[[RunDirectory], object], problem: str) -> None:
    """Evidence that does not fit its own plan is refused, saying what and where."""
    how(open_run)

    told = problems(lambda: load_evidence(open_run, PLAN))

    assert any(problem in one for one in told), told


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "Expecting value"),
        ("[]", "'schema' must be canary-gate/plan/1 (got None)"),
        ('{"schema": "canary-gate/plan/2"}', "'schema' must be canary-gate/plan/1 (got canary-gate/plan/2)"),
        ('{"schema": "canary-gate/plan/1"}', "plan.json: 'stage': Field required"),
    ],
)
def test_broken_plan_is_named(open_run: RunDirectory, content: str, problem: str) -> None:
    """A plan that cannot be read says why."""
    open_run.plan.write_text(content)

    assert problem in problems(lambda: load_plan(open_run))[0]


def test_directory_without_plan(tmp_path: Path) -> None:
    """A directory without a plan is no run."""
    assert problems(lambda: load_plan(RunDirectory(tmp_path))) == (
        f"{tmp_path} is no run directory: plan.json is missing",
    )


def test_bottomless_plan(open_run: RunDirectory) -> None:
    """A plan nested too deeply is an error, not a crash."""
    open_run.plan.write_text("[" * 200_000)

    assert problems(lambda: load_plan(open_run))


def test_an_observation_counts_once(run: RunDirectory) -> None:
    """Ten copies of one sample are no ten samples."""
    seen = Observation(arm=Arm.CANDIDATE, replica=0, at=5.0, values={"cpu": 0.5})
    write_records(run.observations, [seen] * 10)

    (problem,) = problems(lambda: load_evidence(run, PLAN))

    assert problem == f"{run.observations}: candidate 0 5.0 stands there 10 times"
