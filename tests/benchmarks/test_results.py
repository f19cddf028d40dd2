"""The benchmark's written table, its picture, and the page that quotes both."""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))  # benchmarks are scripts, not installed

from benchmarks.decisions import grid, picture, table
from benchmarks.decisions.rules import (
    RULES,
)

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "statistics.md"


def results() -> list[list[str]]:
    """The cells of every row of the written table."""
    lines = (RESULTS / "decisions.md").read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][2:]


def test_ours_keeps_its_promises_in_every_cell() -> None:
    """In the written table no verdict of ours is bold, and the other rules' columns are all there."""
    rows = [row for row in results() if not row[0].startswith("**")]

    assert len(rows) >= 100
    assert [row for row in rows if row[5].startswith("**")] == []
    assert all(len(row) == 5 + len(RULES) for row in rows)


@pytest.mark.parametrize(("truth", "psi", "size"), [("unchanged", 0.10, 150), ("all strata -3 points", 0.05, 60)])
def test_the_written_table_is_what_the_benchmark_computes(truth: str, psi: float, size: int) -> None:
    """Two of its rows, computed again."""
    again = table.render([table.judge(grid.simulated_cell(truth, psi, size))]).splitlines()[-1]

    assert again in (RESULTS / "decisions.md").read_text(encoding="utf-8").splitlines()


def test_the_picture_needs_nothing_else() -> None:
    """Well-formed, named and described, readable in dark mode, without scripts or links."""
    text = (RESULTS / "decisions.svg").read_text(encoding="utf-8")
    root = ET.fromstring(text)
    name = "{http://www.w3.org/2000/svg}"

    assert root.get("role") == "img"
    assert root.find(f"{name}title") is not None
    assert root.find(f"{name}desc") is not None
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"<script|href|url\(|@import", text)


def test_bars_of_the_picture_fill_the_axis() -> None:
    """The three parts of a bar add up to its full width."""
    parts = "\n".join(picture._bar(table.Rates(promote=0.2, hold=0.5, rollback=0.3), 0, 0))

    assert sum(float(width) for width in re.findall(r'width="([\d.]+)"', parts)) == pytest.approx(
        picture._WIDTH, abs=0.2
    )


def test_examples_of_the_statistics_page_compute_what_they_print() -> None:
    """Every `>>>` of docs/statistics.md, run from top to bottom."""
    blocks = re.findall(r"(?ms)^```pycon\n(.*?)^```$", PAGE.read_text(encoding="utf-8"))
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    test = parser.get_doctest("\n".join(blocks), {}, "docs/statistics.md", str(PAGE), 0)
    told: list[str] = []
    runner.run(test, out=told.append)

    assert len(blocks) >= 10
    assert not told, "".join(told)


def test_rows_of_the_statistics_page_are_rows_of_the_results() -> None:
    """Every measured row the page quotes stands in the written table."""
    quoted = re.findall(
        r"(?m)^\| (?:simulated|GSM8K|IFEval|tau-bench|time to first).*$", PAGE.read_text(encoding="utf-8")
    )
    written = (RESULTS / "decisions.md").read_text(encoding="utf-8").splitlines()

    assert len(quoted) >= 8
    assert [row for row in quoted if row not in written] == []
