"""An uploaded run is a claim: its verdict is not read, its rules are not obeyed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.errors import EvidenceError
from canary.records import Decision
from canary.run import artifact
from canary.run.artifact import judge_artifact
from tests.jsonl import write_jsonl

LOOSE = "version: 1\nquality: {max_drop: 0.9, stratum: {max_drop: 0.9}}\n"
STRICT = "version: 1\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline whose candidate loses 12 of 100 cases; the working folder."""
    monkeypatch.chdir(tmp_path)
    cases = [{"id": f"c{i}", "vars": {"q": f"{i}?"}, "expected": str(i)} for i in range(100)]
    answers = [{"id": f"c{i}", "output": str(i)} for i in range(100)]
    worse = [{"id": f"c{i}", "output": "?" if i < 12 else str(i)} for i in range(100)]
    for name, rows in (("prompts", cases), ("v1", answers), ("v2", worse)):
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    (tmp_path / "suite.yaml").write_text(
        'golden_sets: [prompts.jsonl]\nassert: [{type: equals, value: "{{expected}}"}]\n'
    )
    (tmp_path / "policy.yaml").write_text(STRICT)
    (tmp_path / "p.yaml").write_text(
        "suite: suite.yaml\npolicy: policy.yaml\nrunner: local\n"
        "baseline: {name: v1, engine: replay, responses: v1.jsonl}\n"
        "candidate: {name: v2, engine: replay, responses: v2.jsonl}\n"
    )
    return tmp_path


@pytest.fixture
def uploaded(here: Path, canary: Callable[..., Any]) -> Path:
    """A run under a policy of the uploader's own liking."""
    (here / "policy.yaml").write_text(LOOSE)
    canary("run", "p.yaml", "--runs", "runs")
    (here / "policy.yaml").write_text(STRICT)
    return next((here / "runs").glob("*/manifest.json")).parent


def test_trusted_rules_decide(uploaded: Path) -> None:
    """What its own policy lets pass is judged again by the pipeline that is here."""
    by_itself, _ = judge_artifact(uploaded, None)
    by_us, notes = judge_artifact(uploaded, Path("p.yaml"))

    assert by_itself.verdict.verdict is Decision.PROMOTE
    assert by_us.verdict.verdict is Decision.ROLLBACK
    assert notes == ("judged again from an uploaded run: its answers and scores are what that run says",)


def test_other_cases_do_not_count(here: Path, uploaded: Path) -> None:
    """A run on cases of its own choice is said to be one."""
    rows = (here / "prompts.jsonl").read_text().splitlines(keepends=True)
    (here / "prompts.jsonl").write_text("".join(rows).replace('"q": "5?"', '"q": "five?"'))
    _, notes = judge_artifact(uploaded, Path("p.yaml"))

    assert notes[0] == "this verdict does not count: the run has other cases than p.yaml here"


def test_what_was_changed_after_sealing_is_refused(uploaded: Path) -> None:
    """Also where the seal itself is all that speaks against it."""
    scores = uploaded / "scores.jsonl"
    scores.write_bytes(scores.read_bytes().replace(b"false", b"true "))

    with pytest.raises(EvidenceError, match=r"scores\.jsonl"):
        judge_artifact(uploaded, None)


def test_links_and_bulk_are_refused_unread(uploaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing outside of the folder is read, and nothing endless."""
    (uploaded / "extra").symlink_to("/etc/passwd")
    with pytest.raises(EvidenceError, match=r"every entry must be a plain file \(got 'extra'\)"):
        judge_artifact(uploaded, None)
    (uploaded / "extra").unlink()
    monkeypatch.setattr(artifact, "MOST_BYTES", 1000)
    with pytest.raises(EvidenceError, match="must hold at most 100 files"):
        judge_artifact(uploaded, None)
