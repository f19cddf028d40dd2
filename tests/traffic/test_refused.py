"""Two streams of routed traffic: lines, files and options that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.traffic.conftest import Bench, Canary, Row


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ttft_s": -1.0}, "'ttft_s' must be"),
        ({"ttft_s": float("nan")}, "NaN"),
        ({"share": 0.0}, "'share' must be"),
        ({"share": 1.5}, "'share' must be"),
        ({"share": 1}, "'share' must be below 1 for the baseline"),
        ({"started_at": None}, "'started_at' is missing"),
        ({"id": "0-0"}, "already on line"),
        ({"repeat": 1}, "'repeat' must not stand in traffic"),
        ({"shares": 0.1}, "did you mean 'share'?"),
    ],
    ids=str,
)
def test_bad_lines_are_refused(bench: Bench, change: Row, words: str) -> None:
    """Exit 2, with file and line."""
    bench.baseline[0]["id"] = "0-0"
    bench.baseline[6] |= change
    ran = bench.compare()

    assert ran.status == 2
    assert "baseline.jsonl:7: " in ran.err
    assert words in ran.err
    assert ran.out == ""


def test_files_that_do_not_belong_together_are_refused(bench: Bench) -> None:
    """An empty file, one request in both arms, and shares on some lines are mistakes, not evidence."""
    whole = bench.candidate
    bench.candidate = []
    assert "empty" in bench.compare().err
    bench.candidate = [dict(bench.baseline[0])]
    assert "stands in both arms" in bench.compare().err
    bench.candidate = [dict(row) for row in whole]
    del bench.candidate[3]["share"]
    ran = bench.compare()
    assert ran.status == 2
    assert "must carry 'share', or none" in ran.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--golden", "g.jsonl"), "'--golden' must not stand beside --traffic"),
        (("--suite", "s.yaml"), "'--suite' must not stand beside --traffic"),
        (("--calibration", "n.json"), "'--calibration' must not stand beside --traffic"),
        (("--share", "0.5"), "must not be given where lines carry their own"),
    ],
)
def test_options_that_mean_nothing_here_are_refused(bench: Bench, options: tuple[str, ...], words: str) -> None:
    """Rather than silently left aside."""
    ran = bench.compare(*options)

    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err


@pytest.mark.parametrize("share", ["0", "1", "-0.1", "nan"])
def test_impossible_shares_are_refused(bench: Bench, share: str) -> None:
    """A constant share lies between 0 and 1, both excluded."""
    for row in bench.both:
        del row["share"]

    assert "'--share' must be above 0 and below 1" in bench.compare("--share", share).err


@pytest.mark.parametrize("option", [("--look",), ("--share", "0.5"), ("--by", "tenant")])
def test_traffic_options_need_traffic(canary: Canary, tmp_path: Path, option: tuple[str, ...]) -> None:
    """`--look` at pairs is nothing."""
    ran = canary("compare", tmp_path / "a", tmp_path / "b", *option)

    assert ran.status == 2
    assert "needs --traffic" in ran.err
