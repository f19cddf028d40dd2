"""Runs from pipeline to sealed record: reported, replayed, verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jsonl import write_jsonl

ARMS = ("baseline", "candidate")

Canary = Callable[..., Any]


class Workspace:
    """A pipeline over recorded outputs of 120 cases in two strata."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self.canary = folder, canary
        cases = [
            {"id": f"c{i}", "vars": {"prompt": f"say {i}"}, "expected": str(i), "metadata": {"stratum": "ab"[i % 2]}}
            for i in range(120)
        ]
        self.write("golden/prompts.jsonl", cases)
        for arm in ("v1", "v2"):
            self.write(f"{arm}.jsonl", [{"id": case["id"], "output": case["expected"]} for case in cases])
        (folder / "suite.yaml").write_text("golden_sets: [golden]\n")
        (folder / "pipeline.yaml").write_text(
            "suite: suite.yaml\n"
            "baseline: {name: v1, engine: replay, responses: v1.jsonl}\n"
            "candidate: {name: v2, engine: replay, responses: v2.jsonl}\n"
            "runner: local\n"
        )

    def write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        """Write one JSONL file."""
        return write_jsonl(self.folder / name, rows)

    def run(self, *options: object) -> Any:
        """`canary run` on the pipeline, into `runs/`."""
        return self.canary("run", self.folder / "pipeline.yaml", "--runs", self.folder / "runs", "--json", *options)

    @property
    def runs(self) -> list[Path]:
        """Every run directory, oldest first."""
        return sorted((self.folder / "runs").iterdir())


@pytest.fixture
def workspace(tmp_path: Path, canary: Canary) -> Workspace:
    """A workspace that promotes."""
    return Workspace(tmp_path, canary)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Every row of a JSONL file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def digests(run: Path) -> dict[str, str]:
    """The sha256 of every file of a run."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(run.iterdir())}


def cut_off(run: Path, lines: int, torn: bytes = b"") -> None:
    """Leave a run as a crash would: some answers, a torn line, nothing after."""
    kept = (run / "responses.jsonl").read_bytes().splitlines(keepends=True)[:lines]
    (run / "responses.jsonl").write_bytes(b"".join(kept) + torn)
    for name in ("scores.jsonl", "verdict.json", "summary.md", "report.html", "manifest.json"):
        (run / name).unlink()


def test_a_run_writes_a_sealed_record(workspace: Workspace) -> None:
    """Every file of the contract is there and verifies."""
    ran = workspace.run()

    assert ran.status == 0, ran.err
    names = {
        "plan.json",
        "prompts.jsonl",
        "responses.jsonl",
        "scores.jsonl",
        "verdict.json",
        "summary.md",
        "report.html",
        "junit.xml",
        "manifest.json",
    }
    assert {path.name for path in workspace.runs[0].iterdir()} == names
    assert workspace.canary("verify", workspace.runs[0]).status == 0


def test_the_pipeline_chooses_its_reports(workspace: Workspace) -> None:
    """A report that is not asked for is not written; the verdict is, as it is the record."""
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "reporters: [terminal]\n")

    assert workspace.run().status == 0

    written = {path.name for path in workspace.runs[0].iterdir()}
    assert "verdict.json" in written
    assert "summary.md" not in written


def test_two_runs_of_the_same_evidence_are_byte_identical(workspace: Workspace) -> None:
    """The verdict knows no time, path or run id; replay prints the same bytes."""
    first, second = workspace.run(), workspace.run()

    assert first.out == second.out
    assert first.out == (workspace.runs[0] / "verdict.json").read_text()
    assert workspace.canary("replay", workspace.runs[0], "--json").out == first.out


def test_a_tampered_record_is_found(workspace: Workspace) -> None:
    """A changed answer is named by verify, and replay refuses to judge it."""
    workspace.run()
    responses = workspace.runs[0] / "responses.jsonl"
    responses.write_text(responses.read_text().replace('"output":"7"', '"output":"8"', 1))

    verified = workspace.canary("verify", workspace.runs[0])

    assert verified.status == 2
    assert "responses.jsonl changed" in verified.err
    assert workspace.canary("replay", workspace.runs[0]).status == 2


def test_replay_under_another_policy_leaves_the_record_alone(workspace: Workspace) -> None:
    """What-if is a question, not an edit."""
    workspace.run()
    before = digests(workspace.runs[0])
    strict = workspace.folder / "strict.yaml"
    strict.write_text("quality: {max_drop: 0.001}\n")

    ran = workspace.canary("replay", workspace.runs[0], "--policy", strict, "--json")

    assert ran.status == 3
    assert ran.signal("quality/all/pass")["margin"] == 0.001
    assert digests(workspace.runs[0]) == before


def test_the_build_stage_asks_the_candidate_alone(workspace: Workspace) -> None:
    """A floor decides, the baseline is not asked, and structure alone is scored."""
    (workspace.folder / "policy.yaml").write_text("quality: {metrics: {pass: {min_score: 0.8}}}\n")
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "policy: policy.yaml\nstages: {build: {cases: 60}}\n")

    ran = workspace.run("--stage", "build")

    assert ran.status == 0, ran.err
    assert [s["name"] for s in ran.verdict["signals"]] == ["floor/all/pass"]
    rows = read_lines(workspace.runs[0] / "responses.jsonl")
    assert {row["arm"] for row in rows} == {"candidate"}
    assert len(rows) == 60


def test_the_build_stage_needs_a_floor(workspace: Workspace) -> None:
    """Without a floor there is nothing a candidate alone could break."""
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "stages: {build: {cases: 60}}\n")

    ran = workspace.run("--stage", "build")

    assert ran.status == 2
    assert "'min_score'" in ran.err


def test_errors_count_in_the_build_stage_whatever_a_case_asserts(workspace: Workspace) -> None:
    """A case without a structural assertion still fails where its answer errored."""
    (workspace.folder / "grade.py").write_text("def grade(output, case):\n    return True\n")
    cases = read_lines(workspace.folder / "golden" / "prompts.jsonl")
    python = [{"type": "python", "value": f"file://{workspace.folder}/grade.py:grade"}]
    workspace.write(
        "golden/prompts.jsonl", [case if i < 30 else {**case, "assert": python} for i, case in enumerate(cases)]
    )
    error = {"kind": "server", "message": "down"}
    rows = read_lines(workspace.folder / "v2.jsonl")
    workspace.write("v2.jsonl", [row if i < 30 else {"id": row["id"], "error": error} for i, row in enumerate(rows)])
    (workspace.folder / "policy.yaml").write_text("quality: {metrics: {pass: {min_score: 0.8}}}\n")
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "policy: policy.yaml\nstages: {build: {}}\n")

    ran = workspace.run("--stage", "build")

    assert ran.status == 1
    assert ran.signal("floor/all/pass")["candidate"] == pytest.approx(0.25)


def test_a_suite_s_functions_and_plugins(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """`file://` is relative to the suite, wherever one stands; the plugin's version is in the verdict's record."""
    (workspace.folder / "evals").mkdir()
    (workspace.folder / "evals/grade.py").write_text("def right(output, case):\n    return output == case.expected\n")
    (workspace.folder / "acme_nothing.py").write_text("__version__ = '1.2.3'\nASSERTIONS = {}\n")
    monkeypatch.syspath_prepend(workspace.folder)
    (workspace.folder / "evals/suite.yaml").write_text(
        "golden_sets: [../golden]\nplugins: [acme_nothing]\n"
        "assert: [{type: python, value: 'file://grade.py:right', metric: right}]\n"
    )
    text = (workspace.folder / "pipeline.yaml").read_text()
    (workspace.folder / "pipeline.yaml").write_text(text.replace("suite: suite.yaml", "suite: evals/suite.yaml"))

    ran = workspace.run()

    assert ran.status == 0, ran.err
    assert ran.verdict["record"]["plugins"] == {"acme_nothing": "1.2.3"}
    assert {row["metric"] for row in read_lines(workspace.runs[0] / "scores.jsonl")} == {"right", "pass"}
