"""A run that is cut off: what it goes on with, and what it refuses."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import killed_after
from tests.jsonl import write_jsonl
from tests.test_run import ARMS, Canary, Workspace, cut_off, read_lines, workspace

__all__ = ["workspace"]  # fixture

ROOT = Path(__file__).resolve().parents[2]

CHECKPOINTS = ROOT / "pipelines" / "checkpoints"


def test_a_cut_run_is_resumed_to_the_same_verdict(workspace: Workspace) -> None:
    """A torn line and half a pair are asked again; nothing is lost or doubled."""
    whole = workspace.run()
    run = workspace.runs[0]
    cut_off(run, lines=101, torn=b'{"id":"c9')

    resumed = workspace.canary("run", "--resume", run, "--json")

    assert resumed.status == 0, resumed.err
    assert "cut off a torn last line" in resumed.err
    assert resumed.out == whole.out
    counts = Counter((row["id"], row["arm"]) for row in read_lines(run / "responses.jsonl"))
    assert set(counts.values()) == {1}
    assert len(counts) == 240


def test_resume_refuses_an_answer_to_no_case(workspace: Workspace) -> None:
    """A journal that holds a stranger's answers is a mistake in the evidence, not a broken gate."""
    workspace.run()
    run = workspace.runs[0]
    cut_off(run, lines=240)
    journal = run / "responses.jsonl"
    journal.write_text(
        journal.read_text() + "".join(f'{{"id":"x","arm":"{arm}","repeat":0,"output":""}}\n' for arm in ARMS)
    )

    resumed = workspace.canary("run", "--resume", run)

    assert resumed.status == 2
    assert "every 'id' must be a case of the golden set (got 'x')" in resumed.err


def test_resume_refuses_a_changed_golden_set(workspace: Workspace) -> None:
    """Answers to other questions must not be mixed in."""
    workspace.run()
    cut_off(workspace.runs[0], lines=100)
    rows = read_lines(workspace.folder / "golden" / "prompts.jsonl")
    rows[0]["expected"] = "something else"
    workspace.write("golden/prompts.jsonl", rows)

    ran = workspace.canary("run", "--resume", workspace.runs[0], "--json")

    assert ran.status == 2
    assert "the golden set changed under this run" in ran.err


def test_resume_refuses_a_changed_policy_and_a_finished_run(workspace: Workspace) -> None:
    """A policy is changed in replay, and a sealed run stays sealed."""
    workspace.run()

    finished = workspace.canary("run", "--resume", workspace.runs[0])
    cut_off(workspace.runs[0], lines=100)
    (workspace.folder / "policy.yaml").write_text("quality: {max_drop: 0.2}\n")
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "policy: policy.yaml\n")
    changed = workspace.canary("run", "--resume", workspace.runs[0])

    assert finished.status == changed.status == 2
    assert "is finished" in finished.err
    assert "'policy.quality.max_drop' changed under this run" in changed.err


@pytest.mark.slow
def test_kill_9_and_resume_give_the_uninterrupted_verdict(tmp_path: Path, canary: Canary) -> None:
    """Real checkpoints, killed in the middle, finish as if nothing had happened."""
    pytest.importorskip("transformers", reason="needs canary-gate[embeddings]")
    cases = read_lines(ROOT / "golden_sets/quickstart/prompts.jsonl")[::5]
    write_jsonl(tmp_path / "prompts.jsonl", cases)
    (tmp_path / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\n")
    arms = "".join(
        f"{arm}: {{name: {name}, engine: transformers, model: {CHECKPOINTS / name}, sampling: {{max_tokens: 24}}}}\n"
        for arm, name in (("baseline", "baseline"), ("candidate", "candidate-bad"))
    )
    (tmp_path / "pipeline.yaml").write_text(f"suite: suite.yaml\n{arms}runner: local\n")
    command = [*killed_after(30), "run", "pipeline.yaml", "--runs", "cut"]

    killed = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    (journal,) = (tmp_path / "cut").glob("*/responses.jsonl")
    answered = len(journal.read_bytes().splitlines())
    resumed = canary("run", tmp_path / "pipeline.yaml", "--resume", journal.parent, "--json")
    whole = canary("run", tmp_path / "pipeline.yaml", "--runs", tmp_path / "whole", "--json")

    assert (killed.returncode, answered) == (-signal.SIGKILL, 60), killed.stderr.decode()
    assert resumed.verdict["verdict"] == whole.verdict["verdict"]
    counts = Counter((row["id"], row["arm"]) for row in read_lines(journal))
    assert counts == Counter({(case["id"], arm): 1 for case in cases for arm in ("baseline", "candidate")})
    assert quality_of(resumed) == quality_of(whole)


def quality_of(ran: Any) -> list[dict[str, Any]]:
    """What the answers alone decide; the family that p is adjusted over also holds timings."""
    timed = {"p_harm_adjusted", "reason", "need", "warnings"}
    signals = [s for s in ran.verdict["signals"] if s["kind"] == "quality"]
    return [{name: value for name, value in s.items() if name not in timed} for s in signals]


def test_answers_edited_before_a_resume_are_refused(workspace: Workspace) -> None:
    """What is judged must be what the release's digest names."""
    workspace.run()
    run = workspace.runs[0]
    cut_off(run, lines=240)
    journal = run / "responses.jsonl"
    journal.write_text(journal.read_text().replace('"output":"7"', '"output":"8"'))

    ran = workspace.canary("run", "--resume", run, "--json")

    assert ran.status == 2
    assert "recorded outputs changed after the run began" in ran.err
