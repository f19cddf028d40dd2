"""A run as its writer leaves it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from canary.codec import golden_digest
from canary.errors import EvidenceError
from canary.evidence import (
    RunDirectory,
    check_files,
    check_neighbours,
    new_run,
    seal,
    write_records,
)
from canary.journal import Journal
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, StratumPlan
from canary.policy import Policy
from canary.records import Arm, Prompt, Response, Scale, Score

NOW = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
PROMPTS = tuple(
    Prompt(
        id=f"c{i}",
        digest=f"{i:064x}",
        stratum="all-of-them",
        cluster=f"c{i}",
        vars={"question": f"{i}?"},
        messages=None,
        expected=str(i),
        asserts=({"type": "equals", "value": str(i)},),
    )
    for i in range(3)
)
RESPONSES = tuple(Response(id=prompt.id, arm=arm, output="x\u2028", ttft_s=0.1) for prompt in PROMPTS for arm in Arm)
SCORES = tuple(
    Score(id=r.id, arm=r.arm, repeat=0, metric=metric, scale=Scale.PASS_FAIL, value=1.0, passed=True)
    for r in RESPONSES
    for metric in ("exact", "pass")
)
PLAN = Plan(
    stage="staging",
    baseline=ReleasePlan(name="v1", digest="1" * 64, release={"engine": "replay", "model": "small"}),
    candidate=ReleasePlan(name="v2", digest="2" * 64, release={"engine": "replay", "model": "small"}),
    policy=Policy(),
    suite=Suite.model_validate({"golden_sets": ["golden_sets/x"], "assert": [{"type": "equals", "value": "x"}]}),
    strata=(StratumPlan(name="all-of-them", cases=3, weight=1.0),),
    golden_sha256=golden_digest(PROMPTS),
    seed=7,
    versions={"python": "3.11"},
)


def verify(path: Path) -> list[str]:
    """What speaks against a run."""
    return [*check_files(path), *check_neighbours(path)]


def fill(run: RunDirectory) -> RunDirectory:
    """Everything a run writes before it is sealed."""
    with Journal.open(run.responses) as journal:
        for baseline, candidate in zip(RESPONSES[::2], RESPONSES[1::2], strict=True):
            journal.append(baseline, candidate)
    write_records(run.scores, SCORES)
    run.write("verdict.json", '{"verdict": "promote"}\n')
    run.write("summary.md", "promote\n")
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder of all runs."""
    return tmp_path / "runs"


@pytest.fixture
def open_run(runs: Path) -> RunDirectory:
    """A run that has everything but its seal."""
    return fill(new_run(runs, PLAN, PROMPTS, NOW))


@pytest.fixture
def run(open_run: RunDirectory) -> RunDirectory:
    """A finished run."""
    seal(open_run)
    return open_run


def problems(call: Callable[[], object]) -> tuple[str, ...]:
    """What this call refuses to do, and why."""
    with pytest.raises(EvidenceError) as caught:
        call()
    return caught.value.problems
