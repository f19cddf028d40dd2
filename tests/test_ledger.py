"""The chained history: what was appended stays, and what was changed is named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from canary.errors import EvidenceError
from canary.ledger import FIRST, LEDGER, append, read

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs with four entries in the history beside it."""
    for number in range(4):
        append(tmp_path / "runs", "verdict", {"run": f"r{number}", "why": f"because\n{number}"})
    return tmp_path / "runs"


def file(runs: Path) -> Path:
    """The history of a folder of runs."""
    return runs.parent / LEDGER


def rewrite(runs: Path, change: Callable[[list[bytes]], list[bytes]]) -> tuple[str, ...]:
    """What is said of the history after its lines were changed, without the file's name."""
    path = file(runs)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    return tuple(problem.removeprefix(f"{path}:") for problem in read(runs).problems)


def test_entries_come_back_in_order(runs: Path) -> None:
    """Each has its number, time, author and the sha256 of the one before it."""
    found = read(runs)

    assert found.problems == ()
    assert [(entry["entry"], entry["run"], entry["why"]) for entry in found.entries] == [
        (n + 1, f"r{n}", f"because\n{n}") for n in range(4)
    ]
    assert [entry["previous"] for entry in found.entries] == [FIRST, *(e["sha256"] for e in found.entries[:-1])]
    assert all("@" in entry["who"] and entry["at"].endswith("Z") for entry in found.entries)


def test_no_history(tmp_path: Path) -> None:
    """Where nothing was remembered there is nothing to say."""
    assert read(tmp_path / "runs") == read(tmp_path)
    assert read(tmp_path).entries == ()


def test_a_changed_entry_is_named(runs: Path) -> None:
    """Any byte of any line, the last one's too."""
    for number in range(4):
        before = file(runs).read_bytes()
        lines = before.splitlines(keepends=True)
        lines[number] = lines[number].replace(b'"r', b'"s')
        file(runs).write_bytes(b"".join(lines))
        told = rewrite(runs, list)
        assert told[0].startswith(f"{number + 1}: entry {number + 1} was changed: its sha256 should be ")
        file(runs).write_bytes(before)


def test_an_entry_hashed_anew_is_named(runs: Path) -> None:
    """Whoever gives a changed entry a fitting sha256 is betrayed by the next one."""
    import json

    from canary.ledger import _digest

    def forge(lines: list[bytes]) -> list[bytes]:
        entry = json.loads(lines[1])
        entry["run"] = "another"
        entry["sha256"] = _digest(entry)
        return [lines[0], (json.dumps(entry) + "\n").encode(), *lines[2:]]

    assert rewrite(runs, forge) == ("3: entry 3 follows another entry 2 than the one here, which was replaced",)


def test_removed_entries_are_named(runs: Path) -> None:
    """One or several, wherever they were, but at the end."""
    assert rewrite(runs, lambda lines: [lines[0], *lines[2:]]) == ("2: entry 2 before entry 3 was removed or moved",)
    assert rewrite(runs, lambda lines: lines[-1:]) == ("1: entries 1 to 3 before entry 4 were removed or moved",)


def test_nothing_hides_behind_another_kind_of_line_end(runs: Path) -> None:
    """A carriage return in place of an end of line does not pass for the tear of a crash."""
    found = rewrite(runs, lambda entries: [entries[0], entries[1].replace(b"\n", b"\r"), *entries[2:]])

    assert found[0] == "2: is no entry of a history, or was changed"
    assert len(read(runs).entries) == 2


def test_reordered_and_doubled_entries_are_named(runs: Path) -> None:
    """The order is part of what is told."""
    told = rewrite(runs, lambda lines: [lines[0], lines[2], lines[1], lines[3]])
    assert told[:2] == (
        "2: entry 2 before entry 3 was removed or moved",
        "3: entry 2 stands after entry 3: it was moved or doubled",
    )
    file(runs).unlink()
    append(runs, "verdict", {})
    assert rewrite(runs, lambda lines: lines * 2) == ("2: entry 1 stands after entry 1: it was moved or doubled",)


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[1]\n", b"\xff\n", b'{"entry": 1}\n', b"[" * 100_000 + b"\n"])
def test_a_line_that_is_no_entry_is_named(runs: Path, line: bytes) -> None:
    """Garbage in the middle is said to be garbage; at the end nothing is added to it."""
    assert rewrite(runs, lambda lines: [lines[0], line, *lines[1:]]) == ("2: is no entry of a history, or was changed",)

    file(runs).write_bytes(line)
    with pytest.raises(EvidenceError, match="the last line is no entry of a history; nothing is added to it"):
        append(runs, "verdict", {})
    assert file(runs).read_bytes() == line


@pytest.mark.parametrize("cut", [1, 20, 150])
def test_a_torn_line_is_cut_off(runs: Path, cut: int) -> None:
    """What a crash left of the last entry is no tampering, and the next entry goes on from the one before it."""
    data = file(runs).read_bytes()
    file(runs).write_bytes(data[:-cut])
    assert read(runs).problems == ()
    assert len(read(runs).entries) == 3

    append(runs, "promote", {"run": "next"})

    found = read(runs)
    assert found.problems == ()
    assert [entry["entry"] for entry in found.entries] == [1, 2, 3, 4]
    assert found.entries[-1]["run"] == "next"


def test_writers_at_once(tmp_path: Path) -> None:
    """Four processes, one chain; one is killed again and again while it writes, and the chain holds."""
    script = (
        "import sys; from pathlib import Path; from canary.ledger import append\n"
        "for i in range(int(sys.argv[2])): append(Path(sys.argv[1]), 'verdict', {'i': i})"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def writer(count: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "runs"), str(count)], env=environment)

    doomed, steady = writer(100_000), [writer(40) for _ in range(3)]
    while len(read(tmp_path / "runs").entries) < 30:
        assert doomed.poll() is None
    doomed.kill()
    doomed.wait()

    assert [process.wait() for process in steady] == [0] * 3
    append(tmp_path / "runs", "verdict", {})
    found = read(tmp_path / "runs")
    assert found.problems == ()
    assert sum(entry.get("i") == 39 for entry in found.entries) >= 3
    assert [entry["entry"] for entry in found.entries] == list(range(1, len(found.entries) + 1))
