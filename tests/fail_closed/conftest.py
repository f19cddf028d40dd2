"""A comparison that promotes as it stands, for tests that break one thing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.jsonl import write_jsonl

Rows = list[dict[str, Any]]

Canary = Callable[..., Any]

CASES = 120
"""Enough to promote when nothing is wrong: errors need 88, a 3-point margin too."""


class Bench:
    """Two arms that answer alike; each test breaks one thing."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self._canary = folder, canary
        self.golden: Rows = [
            {"id": f"c{i}", "vars": {"prompt": f"say {i}"}, "expected": str(i), "metadata": {"stratum": "ab"[i % 2]}}
            for i in range(CASES)
        ]
        self.baseline: Rows = [{"id": f"c{i}", "output": str(i)} for i in range(CASES)]
        self.candidate: Rows = [dict(row) for row in self.baseline]
        self.policy: str | None = None

    @property
    def both(self) -> Rows:
        """Every line of both arms."""
        return [*self.baseline, *self.candidate]

    def write(self, name: str, rows: list[Mapping[str, Any]] | Rows) -> Path:
        """Write one JSONL file."""
        return write_jsonl(self.folder / name, rows)

    def compare(self, *options: object) -> Any:
        """Run `canary compare` on what the test left."""
        files = [self.write("baseline.jsonl", self.baseline), self.write("candidate.jsonl", self.candidate)]
        if self.policy is not None:
            (self.folder / "policy.yaml").write_text(self.policy, encoding="utf-8")
            options = (*options, "--policy", self.folder / "policy.yaml")
        golden = self.write("prompts.jsonl", self.golden)
        return self._canary("compare", *files, "--golden", golden, "--json", *options)


@pytest.fixture
def bench(tmp_path: Path, canary: Canary) -> Bench:
    """A comparison that promotes as it stands."""
    return Bench(tmp_path, canary)


def assert_holds(ran: Any, *words: str) -> None:
    """The verdict is hold, exit 3, and the reasons carry the words."""
    assert ran.status == 3, ran.err
    assert ran.verdict["verdict"] == "hold"
    reasons = " ".join(signal["reason"] for signal in ran.verdict["signals"]) + ran.verdict["reason"]
    for word in words:
        assert word in reasons


def assert_refuses(ran: Any, *words: str) -> None:
    """Exit 2, no verdict, and an error that carries the words."""
    assert ran.status == 2, ran.out
    assert ran.out == ""
    for word in words:
        assert word in ran.err
