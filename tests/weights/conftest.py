"""A hub's cache on this disk, and pipelines that take their weights from elsewhere than a folder."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS = ROOT / "pipelines" / "checkpoints"
ID = "acme/support"
FIRST, SECOND = "1" * 40, "2" * 40
"""Commits of the hub's model: the shipped baseline, then a candidate."""


class Hub:
    """What a hub leaves on a machine: blobs by digest, snapshots of commits that link to them, refs."""

    def __init__(self, home: Path) -> None:
        self.cache = home / "hub"
        self.repo = self.cache / f"models--{ID.replace('/', '--')}"
        self.environment = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}

    def add(self, commit: str, checkpoint: Path) -> None:
        """A commit with a checkpoint's files."""
        snapshot = self.repo / "snapshots" / commit
        for folder in (self.repo / "blobs", snapshot):
            folder.mkdir(parents=True, exist_ok=True)
        for file in checkpoint.iterdir():
            blob = self.repo / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
            blob.write_bytes(file.read_bytes())
            (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))

    def point(self, name: str, commit: str) -> None:
        """A branch or tag."""
        ref = self.repo / "refs" / name
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(commit)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A machine that is offline and has two commits of one model: `main` is the first, the tag `v2` the second."""
    constants = pytest.importorskip(
        "huggingface_hub.constants", reason="no huggingface_hub: pip install '.[embeddings]'"
    )
    made = Hub(tmp_path / "hf")
    made.add(FIRST, CHECKPOINTS / "baseline")
    made.add(SECOND, CHECKPOINTS / "candidate-good")
    made.point("main", FIRST)
    made.point("v2", SECOND)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(made.cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return made


Pipeline = Callable[..., Path]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """Write a pipeline of 24 cases whose arms are checkpoints: `pipeline(baseline={"model": ...}, candidate={...})`."""

    def write(**written: Any) -> Path:
        source = (ROOT / "golden_sets" / "quickstart" / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
        (tmp_path / "prompts.jsonl").write_text("\n".join(source[:24]) + "\n", encoding="utf-8")
        (tmp_path / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\nstrata: {by: metadata.none}\n")
        arms = {
            arm: {
                "name": arm[0],
                "engine": "transformers",
                "device": "cpu",
                "dtype": "float32",
                "sampling": {"max_tokens": 4},
                **written.pop(arm, {"model": str(CHECKPOINTS / "baseline")}),
            }
            for arm in ("baseline", "candidate")
        }
        (tmp_path / "p.yaml").write_text(json.dumps({"suite": "suite.yaml", "reporters": ["json"]} | arms | written))
        return tmp_path / "p.yaml"

    return write


def canary_process(folder: Path, environment: dict[str, str], *argv: object) -> subprocess.CompletedProcess[str]:
    """`canary` in a process of its own, since libraries read their environment once."""
    return subprocess.run(
        [sys.executable, "-m", "canary", *map(str, argv)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def plan_of(runs: Path) -> dict[str, Any]:
    """plan.json of the only run in a folder."""
    (path,) = runs.glob("2*/plan.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def outputs(runs: Path) -> dict[tuple[str, str], str]:
    """What each arm answered to each case."""
    (path,) = runs.glob("2*/responses.jsonl")
    rows = map(json.loads, path.read_text().splitlines())
    return {(row["arm"], row["id"]): row["output"] for row in rows}
