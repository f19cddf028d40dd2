"""A bench to be measured: two runs of one release."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jsonl import write_jsonl

Canary = Callable[..., Any]

Rows = list[dict[str, Any]]

CASES = 240


class Bench:
    """A recorded pipeline: a baseline, a second recording of it, and a candidate."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self.canary = folder, canary
        self.pipeline = folder / "p.yaml"
        self.noise = folder / "p.noise.json"
        golden = [
            {"id": f"c{i}", "vars": {}, "expected": str(i), "metadata": {"stratum": "ab"[i % 2]}} for i in range(CASES)
        ]
        self.write("golden/prompts.jsonl", golden)
        for name in ("v1", "again", "v2"):
            self.record(name)
        (folder / "suite.yaml").write_text("golden_sets: [golden]\n")
        self.pipeline.write_text(
            "suite: suite.yaml\n"
            "baseline: {name: v1, engine: replay, responses: v1.jsonl}\n"
            "candidate: {name: v2, engine: replay, responses: v2.jsonl}\n"
            "runner: local\n"
        )

    def write(self, name: str, rows: Rows) -> Path:
        """Write one JSONL file."""
        return write_jsonl(self.folder / name, rows)

    def record(self, name: str, wrong: frozenset[int] = frozenset()) -> None:
        """Record answers of which some are wrong."""
        self.write(f"{name}.jsonl", [{"id": f"c{i}", "output": "no" if i in wrong else str(i)} for i in range(CASES)])

    def calibrate(self, *options: object) -> Any:
        """`canary calibrate noise`, with the second recording."""
        again = self.folder / "again.jsonl"
        runs = ("--runs", self.folder / "bench")
        return self.canary("calibrate", "noise", self.pipeline, "--again", again, *runs, *options)

    def run(self) -> Any:
        """`canary run` on the pipeline."""
        return self.canary("run", self.pipeline, "--runs", self.folder / "runs", "--json")

    def change(self, **changes: Any) -> None:
        """Edit the stored calibration."""
        self.noise.write_text(json.dumps(json.loads(self.noise.read_text()) | changes))


@pytest.fixture
def bench(tmp_path: Path, canary: Canary) -> Bench:
    """A pipeline whose release promotes, and whose baseline repeats itself."""
    return Bench(tmp_path, canary)


def some(count: int, seed: int) -> frozenset[int]:
    """`count` cases drawn at random."""
    return frozenset(random.Random(seed).sample(range(CASES), count))
