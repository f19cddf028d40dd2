"""What a resumed run believes of its plan.json, which anybody may have written to while nothing ran."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.plan import Plan
from tests.run.test_trusted import CASES, Gate, gate, git, lines, repository, write
from tests.test_run import Workspace, cut_off, workspace

__all__ = ["gate", "repository", "workspace"]  # fixtures

NOISE = {
    "schema": "canary-gate/noise/1", "baseline": "1" * 64, "golden": "2" * 64, "scoring": "3" * 64, "repeat": 1,
    "verdict": "promote", "reason": "", "noise": [], "latency": [], "similar": [],
    "usage": {"input_tokens": None, "output_tokens": None, "total_s": None},
}  # fmt: skip
ORIGIN = {"model": {"written": "m", "pinned": "models:/other/9", "source": "s3://elsewhere"}}
BELIEVED = {"stage": "the command line's", "early_stopping": "the command line's", "pipeline": "where to resolve from"}
"""What nothing else says; `stage` and `early_stopping` stand in the verdict."""
REFUSED: dict[str, Callable[[Any], Any]] = {
    "schema": lambda _: "canary-gate/plan/9",
    "policy": lambda was: was | {"quality": was["quality"] | {"max_drop": 0.9}},
    "suite": lambda was: was | {"assert": [{"type": "regex", "value": "."}]},
    "strata": lambda was: was[:1],
    "required": lambda _: ["cost/per_request"],
    "golden_sha256": lambda _: "f" * 64,
    "seed": lambda was: was + 1,
    "judges": lambda _: {"pass": {"digest": "1" * 64, "cases": 1}},
    "traffic": lambda _: {"open": False},
    "shared_engine": lambda _: True,
    "sequential": lambda _: True,
    "load": lambda _: {"shape": "poisson", "rate": 9.0, "seconds": 1.0},
    "purpose": lambda _: "calibration",
    "mlflow": lambda _: {"tracking_uri": "http://elsewhere", "experiment": "mine"},
    "registry": lambda _: {"model": "another", "prompt": None},
    "base_ref": lambda _: "HEAD",
    "gate_changes": lambda _: [{"path": "evals/policy.yaml", "what": "changed"}],
}
RESTORED: dict[str, Callable[[Any], Any]] = {
    "baseline": lambda was: was | {"release": {"engine": "vllm", "prompt": "be kind"}},
    "candidate": lambda was: was | {"release": {"engine": "vllm", "prompt": "be kind"}, "origins": ORIGIN},
    "calibration": lambda _: NOISE,
    "golden_sets": lambda _: [],
    "versions": lambda was: was | {"plugin acme": "1"},
    "runner": lambda _: {"type": "ray"},
    "concurrency": lambda _: 999,
    "warmup": lambda _: 999,
    "warnings": lambda _: [],
}
"""What is resolved anew, whatever stands there."""


def edited(run: Path, field: str, edit: Callable[[Any], Any]) -> dict[str, Any]:
    """Writes another value into an unfinished run's plan; the plan as it was."""
    before: dict[str, Any] = json.loads((run / "plan.json").read_bytes())
    (run / "plan.json").write_text(json.dumps(before | {field: edit(before[field])}))
    return before


def test_every_field_is_accounted_for() -> None:
    """A field of the plan that is new is refused, resolved anew, or believed for a reason."""
    known = REFUSED.keys() | RESTORED.keys() | BELIEVED.keys()

    assert known == {field.alias or name for name, field in Plan.model_fields.items()}


@pytest.mark.parametrize("field", REFUSED)
def test_what_decides_is_not_taken_from_the_file(workspace: Workspace, field: str) -> None:
    """A plan that says something else than its pipeline is refused, and the error says what."""
    workspace.run()
    cut_off(workspace.runs[0], lines=101)
    edited(workspace.runs[0], field, REFUSED[field])

    ran = workspace.canary("run", "--resume", workspace.runs[0])

    assert ran.status == 2, ran.err
    assert field in ran.err.replace("golden set", "golden_sha256").replace("base ref", "base_ref gate_changes")
    assert not (workspace.runs[0] / "verdict.json").exists()


@pytest.mark.parametrize("field", RESTORED)
def test_what_is_resolved_anew_is_not_taken_from_the_file(workspace: Workspace, field: str) -> None:
    """The record of a resumed run says what its pipeline says, and a change of surroundings is told in the verdict."""
    whole = workspace.run()
    run = workspace.runs[0]
    cut_off(run, lines=101)
    before = edited(run, field, RESTORED[field])

    ran = workspace.canary("run", "--resume", run, "--json")
    after = json.loads((run / "plan.json").read_bytes())

    assert ran.status == 0, ran.err
    told = [warning for warning in ran.verdict["warnings"] if "changed under this run" in warning]
    assert after == before | {"warnings": [*before["warnings"], *told]}
    assert ran.verdict | {"warnings": whole.verdict["warnings"]} == whole.verdict
    assert bool(told) == (field in {"calibration", "candidate", "versions", "runner", "concurrency", "warmup"})
    assert workspace.canary("verify", run).status == 0


def test_a_recorded_answer_is_no_live_one_by_an_edit(workspace: Workspace) -> None:
    """An engine written into the plan does not free recorded answers of the digest that names them."""
    workspace.run()
    run = workspace.runs[0]
    cut_off(run, lines=240)
    edited(run, "candidate", lambda was: was | {"release": was["release"] | {"engine": "openai"}})
    journal = run / "responses.jsonl"
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    journal.write_text(lines([row | ({"output": "8"} if row["arm"] == "candidate" else {}) for row in rows]))

    ran = workspace.canary("run", "--resume", run)

    assert ran.status == 2
    assert "recorded outputs changed after the run began" in ran.err


def test_noise_is_not_taken_from_the_file(workspace: Workspace) -> None:
    """A bench that was found to be unstable holds, whatever somebody writes over the finding."""
    again = [{"id": f"c{i}", "output": "?" if i % 2 else str(i)} for i in range(120)]
    recording = workspace.write("again.jsonl", again)
    pipeline = workspace.folder / "pipeline.yaml"
    measured = workspace.canary("calibrate", "noise", pipeline, "--again", recording, "--runs", workspace.folder / "n")
    assert measured.status == 0, measured.err
    assert workspace.run().status == 3
    (run,) = workspace.runs
    cut_off(run, lines=101)
    edited(run, "calibration", lambda was: was | {"verdict": "promote"})

    ran = workspace.canary("run", "--resume", run)

    assert ran.status == 3
    assert '\'calibration.verdict\' changed under this run: plan.json has "promote", now "rollback"' in ran.err


def test_a_run_by_a_base_ref_is_not_resumed_by_other_rules(repository: Path, gate: Gate) -> None:
    """A pull request that touched nothing of its gate before the crash may do so after it."""
    write(repository / "recorded/v2.jsonl", lines([{"id": f"c{i}", "output": str(i)} for i in range(CASES)]))
    git(repository, "stash", "-q", "--", "pipelines")
    began, _, said = gate("--base-ref", "HEAD")
    (run,) = (repository / "runs").glob("2*")
    cut_off(run, lines=CASES)

    status, _, err = gate("--resume", str(run))

    assert status == 2
    assert began == 0
    assert "should it be cut off, run the same command again" in said
    assert "--resume" not in said
    assert re.search(r"a run judged by a base ref is not resumed; start a new run: canary run \S+ --base-ref REF", err)


def test_a_run_under_another_policy_goes_on_under_it(workspace: Workspace) -> None:
    """The advice that a run begins with names its policy, and is what resumes it; under another it is refused."""
    policy = workspace.folder / "my policy.yaml"
    policy.write_text("quality: {max_drop: 0.2}\n")
    whole = workspace.run("--policy", policy)
    (run,) = workspace.runs
    advice = re.search(r"\(should it be cut off: canary (.+)\)", whole.err)
    cut_off(run, lines=100)

    other = workspace.canary("run", "--resume", run)
    assert advice
    resumed = workspace.canary(*shlex.split(advice[1]), "--json")

    assert other.status == 2
    assert "'policy.quality.max_drop' changed under this run" in other.err
    assert resumed.status == 0, resumed.err
    assert resumed.out == whole.out


def test_what_was_left_beside_the_answers_is_no_evidence(workspace: Workspace) -> None:
    """Labels and drift of a run are this run's: files that somebody put there while nothing ran are gone."""
    whole = workspace.run()
    (run,) = workspace.runs
    cut_off(run, lines=240)
    label = {"id": "c0", "arm": "candidate", "repeat": 0, "metric": "pass", "passed": True}
    drift = {"id": "drift/embedding", "n": 120, "value": 0.0, "p": 1.0, "method": "m", "warnings": []}
    for name, row in (("labels", label), ("telemetry", drift)):
        (run / f"{name}.jsonl").write_text(json.dumps(row, separators=(",", ":")) + "\n")

    ran = workspace.canary("run", "--resume", run, "--json")

    assert ran.out == whole.out
    assert not [name for name in ("labels.jsonl", "telemetry.jsonl") if (run / name).exists()]


@pytest.mark.parametrize("stage", ["compare", "canary", ""])
def test_only_a_run_is_resumed(workspace: Workspace, stage: str) -> None:
    """What is no stage of a run, as of a comparison that was kept, is an error that names those that are."""
    workspace.run()
    (run,) = workspace.runs
    cut_off(run, lines=101)
    edited(run, "stage", lambda _: stage)

    ran = workspace.canary("run", "--resume", run)

    assert ran.status == 2
    said = f"{run / 'plan.json'}: 'stage' must be one of build, staging, shadow (got {stage!r}): only a run is resumed"
    assert said in ran.err


def test_a_plan_may_hold_what_no_file_can(workspace: Workspace) -> None:
    """Half a character in what is kept of a plan is written as JSON has it, and stops nothing."""
    workspace.run()
    (run,) = workspace.runs
    cut_off(run, lines=101)
    edited(run, "warnings", lambda was: [*was, "half \ud800"])

    ran = workspace.canary("run", "--resume", run, "--json")

    assert ran.status == 0, ran.err
    assert "half \ud800" in ran.verdict["warnings"]
    assert workspace.canary("replay", run).status == 0
