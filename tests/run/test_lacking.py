"""What a plan lacks: `canary plan` refuses it for that, and `canary run` says it first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_run import Workspace, read_lines


@pytest.fixture
def workspace(tmp_path: Path, canary: Callable[..., Any]) -> Workspace:
    """A workspace that promotes."""
    return Workspace(tmp_path, canary)


def test_the_plan_of_a_build_is_held_to_its_floors(workspace: Workspace) -> None:
    """Margins and the baseline are no part of it: it is not refused for want of cases, nor does the run say so."""
    pipeline = workspace.folder / "pipeline.yaml"
    (workspace.folder / "policy.yaml").write_text("quality: {metrics: {pass: {min_score: 0.5}}}\n")
    pipeline.write_text(pipeline.read_text() + "policy: policy.yaml\nstages: {build: {cases: 20}}\n")

    planned, ran = workspace.canary("plan", pipeline, "--stage", "build"), workspace.run("--stage", "build")

    assert (planned.status, ran.status) == (0, 0), ran.err
    assert "20 cases, of the candidate alone, against its floors: pass 0.5\ncandidate: 20 answers" in planned.out
    assert "margin" not in planned.out
    assert "lacking" not in ran.err


@pytest.mark.parametrize(
    ("floor", "told"),
    [
        ("0.8", "20 cases cannot show a floor of 0.8 with fewer than 14"),
        ("0.9", "20 cases cannot show a floor of 0.9 with fewer than 29: add 9"),
        ("1.0", "no number of cases shows that all answers pass; set 'min_score' below 1"),
    ],
)
def test_a_floor_that_nothing_could_show_is_lacking(workspace: Workspace, floor: str, told: str) -> None:
    """What is refused holds although every answer passes, and what is not promotes."""
    pipeline = workspace.folder / "pipeline.yaml"
    (workspace.folder / "policy.yaml").write_text(f"quality: {{metrics: {{pass: {{min_score: {floor}}}}}}}\n")
    pipeline.write_text(pipeline.read_text() + "policy: policy.yaml\nstages: {build: {cases: 20}}\n")

    planned, ran = workspace.canary("plan", pipeline, "--stage", "build"), workspace.run("--stage", "build")
    short = floor != "0.8"

    assert (planned.status, ran.status) == ((2, 3) if short else (0, 0)), planned.out
    assert (f"lacking: floor/all/pass: {told}\n" in planned.out) is short


@pytest.mark.parametrize(("answer", "status"), [(None, 3), ("no", 1)], ids=["unchanged", "lost"])
def test_a_run_says_what_its_plan_lacks_and_starts(workspace: Workspace, answer: str | None, status: int) -> None:
    """In the words of the plan, which is refused: harm can be proven where a promotion cannot."""
    pipeline = workspace.folder / "pipeline.yaml"
    (workspace.folder / "policy.yaml").write_text("quality: {critical: {strata: [lokup]}}\n")
    pipeline.write_text(pipeline.read_text() + "policy: policy.yaml\n")
    if answer is not None:
        workspace.write("v2.jsonl", [{"id": f"c{i}", "output": answer} for i in range(120)])

    planned, ran = workspace.canary("plan", pipeline), workspace.run()
    lacking = [line for line in planned.out.splitlines() if line.startswith("lacking: ")]

    assert (planned.status, ran.status) == (2, status)
    assert lacking == ["lacking: the policy calls stratum 'lokup' critical, but no case belongs to it (strata: a, b)"]
    assert ran.err.splitlines()[1:3] == [
        f"canary: {lacking[0]}",
        "canary: canary plan refuses such a plan: this run can roll back, but hardly promote",
    ]


def test_a_margin_that_no_golden_set_could_show_is_lacking(workspace: Workspace) -> None:
    """It is told as such, at once; a run says the first ten of what it lacks."""
    pipeline = workspace.folder / "pipeline.yaml"
    rows = read_lines(workspace.folder / "golden" / "prompts.jsonl")
    workspace.write(
        "golden/prompts.jsonl", [row | {"metadata": {"stratum": f"s{i % 12}"}} for i, row in enumerate(rows)]
    )
    (workspace.folder / "policy.yaml").write_text("quality: {max_drop: 0.000001}\n")
    pipeline.write_text(pipeline.read_text() + "policy: policy.yaml\n")

    planned, ran = workspace.canary("plan", pipeline), workspace.run()

    assert (planned.status, ran.status) == (2, 3)
    assert "cannot show a margin of 0.0001 points with fewer than 2705541: add 2705421\n" in planned.out
    assert "> 100000" in planned.out
    assert ran.err.count("canary: lacking: ") == 10
    assert f"hardly promote; {planned.out.count('lacking: ') - 10} more are lacking\n" in ran.err
