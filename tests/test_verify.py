"""`canary verify` says what was changed, and what was not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.ledger import LEDGER, append

Canary = Callable[..., Any]


@pytest.fixture
def shelf(tmp_path: Path, canary: Canary) -> Path:
    """A folder of three sealed runs."""
    rows = "".join(f'{{"id": "{i}", "output": "x", "scores": {{"a": 1.0}}}}\n' for i in range(12))
    (tmp_path / "a.jsonl").write_text(rows)
    for name in ("r1", "r2", "r3"):
        out = tmp_path / "runs" / name
        made = canary("compare", tmp_path / "a.jsonl", tmp_path / "a.jsonl", "--out", out, "--fail-on", "never")
        assert made.status == 0, made.err
    return tmp_path / "runs"


def test_a_deleted_older_run_is_no_failure(shelf: Path, canary: Canary) -> None:
    """The run's own files are as they were: it says so, names the one that is gone, and succeeds."""
    shutil.rmtree(shelf / "r1")

    for name in ("r2", "r3"):
        told = canary("verify", shelf / name)
        assert (told.status, told.out) == (0, f"{shelf / name}: every file is as it was written\n")
        assert told.err.startswith("record r1 (sha256 ")
        assert told.err.endswith("), on which r2 was sealed, is no longer in this folder\n")


@pytest.mark.parametrize(
    "name", ["plan.json", "prompts.jsonl", "responses.jsonl", "scores.jsonl", "summary.md", "verdict.json"]
)
def test_any_byte_of_any_file(shelf: Path, canary: Canary, name: str) -> None:
    """A byte at the start, in the middle or at the end of a file: that file is named, and no other."""
    file = shelf / "r2" / name
    data = file.read_bytes()
    for place in {0, len(data) // 2, len(data) - 1}:
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        told = canary("verify", shelf / "r2")
        assert (told.status, told.out) == (2, "")
        assert told.err.startswith(f"{name} changed: ")
        assert told.err.count("\n") == 1
    file.write_bytes(data)
    assert canary("verify", shelf / "r2").status == 0


def test_a_changed_neighbour_is_told_apart(shelf: Path, canary: Canary) -> None:
    """The record before it was changed: that fails, and it says that this run's own files are as they were."""
    (shelf / "r1" / "manifest.json").write_bytes((shelf / "r1" / "manifest.json").read_bytes().replace(b"  ", b" ", 1))

    told = canary("verify", shelf / "r2")

    assert (told.status, told.out) == (2, f"{shelf / 'r2'}: every file is as it was written\n")
    assert "record r1, on which r2 was sealed" in told.err


def test_a_changed_history_is_named(shelf: Path, canary: Canary) -> None:
    """An entry removed from the history beside the runs fails every one of them, by its line."""
    for number in range(3):
        append(shelf, "promote", {"name": f"m{number}"})
    file = shelf.parent / LEDGER
    lines = file.read_bytes().splitlines(keepends=True)
    assert canary("verify", shelf / "r3").status == 0

    file.write_bytes(lines[0] + lines[2])

    told = canary("verify", shelf / "r3")
    assert told.status == 2
    assert told.err == f"{file}:2: entry 2 before entry 3 was removed or moved\n"
    assert "entry 2 before entry 3 was removed or moved" in canary("history", shelf).err
