"""A second opinion on graded scores and cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

Canary = Callable[..., Any]
CASES = 120


@pytest.fixture
def report(canary: Canary, write_lines: Callable[..., Path], tmp_path: Path) -> Callable[..., str]:
    """`report(tone, cost)`: the page of a comparison with these values of the candidate."""

    def run(tone: Any, cost: Any = None, before: Any = 0.5) -> str:
        rows = [{"id": f"c{i:03d}", "output": "x"} for i in range(CASES)]
        priced = {} if cost is None else {"cost_usd": 0.01}
        files = [
            write_lines("a.jsonl", [row | {"scores": {"tone": before}} | priced for row in rows]),
            write_lines(
                "b.jsonl",
                [
                    row | {"scores": {"tone": tone[i]}} | ({} if cost is None else {"cost_usd": float(cost[i])})
                    for i, row in enumerate(rows)
                ],
            ),
        ]
        canary("compare", *files, "--out", tmp_path / "kept")
        return (tmp_path / "kept" / "report.html").read_text()

    return run


def test_graded_scores_have_a_bootstrap_interval(report: Callable[..., str]) -> None:
    """It is scipy's BCa interval of the mean difference, within resampling noise."""
    tone = np.random.default_rng(3).beta(2, 2, CASES).round(3)
    page = report(tone.tolist())
    said = page.partition("<li>quality/all/tone: ")[2].partition(" (BCa")[0]
    theirs = stats.bootstrap((tone - 0.5,), np.mean, confidence_level=0.9, rng=np.random.default_rng(0))
    low, _, high = said.partition(" to ")

    assert "Intervals by resampling" in page
    assert (float(low), float(high)) == pytest.approx(tuple(theirs.confidence_interval), abs=0.006)


def test_costs_have_one_as_a_ratio(report: Callable[..., str]) -> None:
    """Twice the price in half of the cases is a ratio of about 1.5."""
    page = report([0.5] * CASES, np.where(np.arange(CASES) % 2, 0.01, 0.02))
    low, _, high = page.partition("<li>cost/per_request: ×")[2].partition(" (BCa")[0].partition(" to ×")

    assert 1.4 < float(low) < 1.5 < float(high) < 1.6


def test_pass_and_fail_need_none(report: Callable[..., str]) -> None:
    """Exact methods leave nothing to resample."""
    assert "Intervals by resampling" not in report([True] * CASES, before=True)
