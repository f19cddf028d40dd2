"""Under which plans a run goes on."""

from __future__ import annotations

from typing import Any

import pytest

from canary.evidence import (
    RunDirectory,
    resume,
    write_records,
)
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan
from canary.policy import Policy, QualityRule
from tests.evidence.conftest import PLAN, PROMPTS, problems


def test_same_plan_goes_on(open_run: RunDirectory) -> None:
    """A run goes on under the plan it was started with."""
    assert resume(open_run, PLAN) == ()


def changed(**fields: Any) -> Plan:
    """The plan with other fields."""
    return PLAN.model_copy(update=fields)


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        (
            changed(golden_sha256="f"),
            f'the golden set changed under this run: plan.json has "{PLAN.golden_sha256}", no',
        ),
        (changed(seed=8), "'seed' changed under this run: plan.json has 7, now 8; start a new run, or restore it"),
        (changed(stage="build"), '\'stage\' changed under this run: plan.json has "staging", now "build"'),
        (
            changed(policy=Policy(quality=QualityRule(max_drop=0.5))),
            "'policy.quality.max_drop' changed under this run: plan.json has 0.03, now 0.5",
        ),
        (
            changed(candidate=ReleasePlan(name="v2", digest="3" * 64, release={"engine": "replay", "model": "big"})),
            '\'candidate.release.model\' changed under this run: plan.json has "small", now "big"',
        ),
        (
            changed(suite=Suite(golden_sets=("x",), repeat=2)),
            "'suite.repeat' changed under this run: plan.json has 1, n",
        ),
        (changed(strata=()), "'strata' changed under this run: plan.json has [{"),
    ],
)
def test_another_question_is_refused(open_run: RunDirectory, plan: Plan, problem: str) -> None:
    """A run does not go on under another question, and each change is named."""
    told = problems(lambda: resume(open_run, plan))

    assert any(problem in one for one in told), told


def test_every_change_is_named(open_run: RunDirectory) -> None:
    """All changes are told at once."""
    assert len(problems(lambda: resume(open_run, changed(seed=8, golden_sha256="f", stage="build")))) == 3


@pytest.mark.parametrize(
    ("plan", "warnings"),
    [
        (changed(suite=PLAN.suite.model_copy(update={"golden_sets": ("/moved/x",)})), ()),
        (changed(warnings=("slow",), pipeline="/moved/p.yaml"), ()),
        (changed(candidate=PLAN.candidate.model_copy(update={"release": {"responses": "/moved/v2.jsonl"}})), ()),
        (changed(concurrency=4), ("'concurrency' changed under this run: plan.json has 1, now 4",)),
        (changed(versions={}), ("'versions.python' changed under this run: plan.json has \"3.11\", now null",)),
    ],
)
def test_other_surroundings_are_told(open_run: RunDirectory, plan: Plan, warnings: tuple[str, ...]) -> None:
    """Moved files change nothing; another machine is a warning, as both arms of a pair still share it."""
    assert resume(open_run, plan) == warnings


def test_finished_run_does_not_go_on(run: RunDirectory) -> None:
    """A finished run is replayed, not resumed."""
    (problem,) = problems(lambda: resume(run, PLAN))

    assert "is finished; judge it again with canary replay" in problem


def test_resume_checks_the_stored_cases(open_run: RunDirectory) -> None:
    """A run whose stored cases are not the plan's does not go on."""
    write_records(open_run.prompts, PROMPTS[1:])
    assert "holds other cases than plan.json" in problems(lambda: resume(open_run, PLAN))[0]

    open_run.prompts.unlink()
    assert "prompts.jsonl is missing" in problems(lambda: resume(open_run, PLAN))[0]
