"""Past runs of one baseline, and where they leave their limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jsonl import write_jsonl

Canary = Callable[..., Any]
CASES = 200


class Shelf:
    """A folder of runs of one baseline, each named by its number."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self.canary = folder, canary
        self.runs = folder / "runs"
        self.golden = self.write("prompts", [{"id": f"c{i}", "vars": {}, "expected": "x"} for i in range(CASES)])
        self.count = 0

    def write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        """Write one JSONL file."""
        return write_jsonl(self.folder / f"{name}.jsonl", rows)

    def add(self, wrong: int, *, name: str = "v1") -> Path:
        """One more run, in which both arms fail that many cases.

        Its record is sealed as a service's would be: one digest, whatever it answers today.
        """
        rows = [{"id": f"c{i}", "output": "no" if i < wrong else "x"} for i in range(CASES)]
        arms = [self.write(name, rows), self.write("v2", rows)]
        self.count += 1
        path = self.runs / f"run-{self.count:02d}"
        ran = self.canary("compare", *arms, "--golden", self.golden, "--out", path, "--json")
        assert ran.status in (0, 3), ran.err
        self.reseal(path)
        return path

    def reseal(self, path: Path, **fields: Any) -> None:
        """Give the baseline the digest of a live release, which does not change with its answers."""
        from canary.evidence import RunDirectory, seal

        (path / "manifest.json").unlink()
        for name in ("plan.json", "verdict.json"):
            document = json.loads((path / name).read_text())
            document["baseline"]["digest"] = "b" * 64
            (path / name).write_text(json.dumps(document | (fields if name == "verdict.json" else {})))
        seal(RunDirectory(path))

    def history(self) -> Any:
        """`canary history` on the folder."""
        return self.canary("history", self.runs)


@pytest.fixture
def shelf(tmp_path: Path, canary: Canary) -> Shelf:
    """No runs yet."""
    return Shelf(tmp_path, canary)


def test_a_run_that_stopped_early_is_no_point_on_the_chart(shelf: Shelf) -> None:
    """Its baseline answered other cases; the run is listed without a score."""
    shelf.add(10)
    shelf.reseal(shelf.add(100), looks={"stopped_at": 40})

    lines = shelf.history().out.splitlines()

    assert "0.950" in lines[2]
    assert lines[3].startswith("run-02")
    assert "0.5" not in lines[3]
    assert "1 run has a score" in lines[4]


def test_a_slow_drift_of_the_baseline_shows(shelf: Shelf) -> None:
    """Half a point lost from run to run is noise each time, and out of its limits in the end."""
    for wrong in (10, 11, 10, 11, 12, 11, 12, 13, 13, 15):
        shelf.add(wrong)

    lines = shelf.history().out.splitlines()

    assert lines[0].startswith("v1 (bbbbbbbb) on golden set ")
    assert [line.split()[0] for line in lines[2:12]] == [f"run-{i:02d}" for i in range(1, 11)]
    assert not any("outside" in line for line in lines[2:11])
    assert "baseline outside 0.9" in lines[11]
    assert lines[12].startswith("the next baseline score belongs in ")


def test_few_runs_make_no_chart(shelf: Shelf) -> None:
    """A table all the same."""
    shelf.add(10)

    out = shelf.history().out

    assert "run-01" in out
    assert "1 run has a score; from 8 on each is held against those before it" in out


def test_another_baseline_is_another_chart(shelf: Shelf) -> None:
    """Scores of different questions are not compared."""
    shelf.add(10)
    path = shelf.add(20)
    (path / "manifest.json").unlink()  # not sealed: not finished

    out = shelf.history().out

    assert "run-02" not in out
    assert out.count("golden set") == 1


def test_a_run_that_was_changed_is_left_out_and_named(shelf: Shelf) -> None:
    """What is not as it was sealed is no past."""
    path = shelf.add(10)
    (path / "verdict.json").write_text((path / "verdict.json").read_text().replace("0.95", "0.99"))

    ran = shelf.history()

    assert ran.status == 0
    assert "verdict.json is not what the manifest says" in ran.err
    assert ran.out == "no finished run\n"


def test_a_folder_that_is_not_there_is_a_mistake(shelf: Shelf) -> None:
    """Exit 2, as for every wrong argument."""
    ran = shelf.history()

    assert ran.status == 2
    assert "is no folder of runs" in ran.err
