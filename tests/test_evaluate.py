"""The pure path as a whole: symmetric, indifferent to order, and the same to the byte."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Rows = list[dict[str, Any]]
Canary = Callable[..., Any]
Write = Callable[[str, list[Mapping[str, Any]]], Path]


def make_arms(cases: int = 300, seed: int = 0) -> tuple[Rows, Rows, Rows]:
    """Golden set and two noisy arms with scores, latency and cost, in three strata."""
    rng = random.Random(seed)
    golden: Rows = [{"id": f"c{i}", "vars": {}, "metadata": {"stratum": "abc"[i % 3]}} for i in range(cases)]
    arms: tuple[Rows, Rows] = ([], [])
    for i in range(cases):
        hard = rng.random() < 0.15
        for k, arm in enumerate(arms):
            row: dict[str, Any] = {"id": f"c{i}", "output": f"answer {i}", "started_at": 1.7e9 + i}
            row["ttft_s"], row["tpot_s"] = rng.lognormvariate(-1, 0.3), rng.lognormvariate(-4, 0.2)
            row["cost_usd"] = rng.lognormvariate(-7, 0.4) * (1 + 0.05 * k)
            row["scores"] = {"right": not hard ^ (rng.random() < 0.05), "tone": round(rng.random(), 3)}
            if rng.random() < 0.02:
                row["error"] = {"kind": rng.choice(["server", "truncated"]), "message": "m"}
            arm.append(row)
    return golden, *arms


def compare(canary: Canary, write: Write, golden: Rows, baseline: Rows, candidate: Rows) -> Any:
    """The verdict document of two arms."""
    files = [write("one.jsonl", list(baseline)), write("two.jsonl", list(candidate))]
    return canary("compare", *files, "--golden", write("prompts.jsonl", list(golden)), "--json")


def test_swapping_the_arms_negates_differences_and_inverts_ratios(canary: Canary, write_lines: Write) -> None:
    """The two arms are named, not treated, differently."""
    golden, baseline, candidate = make_arms()
    there = compare(canary, write_lines, golden, baseline, candidate).verdict["signals"]
    back = compare(canary, write_lines, golden, candidate, baseline).verdict["signals"]

    assert len(there) == len(back) > 15
    for one, other in zip(there, back, strict=True):
        assert one["name"] == other["name"]
        assert (one["baseline"], one["candidate"]) == pytest.approx((other["candidate"], other["baseline"]))
        if one["name"].endswith("slow"):
            continue  # the threshold is the baseline's, so these are two questions
        if one["effect"] == "ratio":
            assert one["estimate"] * other["estimate"] == pytest.approx(1, abs=1e-9)
        else:
            assert one["estimate"] + other["estimate"] == pytest.approx(0, abs=1e-9)


def test_a_release_against_itself_has_no_discordant_pair(canary: Canary, write_lines: Write) -> None:
    """Identical evidence cannot be a loss."""
    golden, baseline, _ = make_arms()

    verdict = compare(canary, write_lines, golden, baseline, baseline).verdict

    assert verdict["verdict"] == "promote"
    assert {s["estimate"] for s in verdict["signals"]} <= {0.0, 1.0}


def test_the_order_of_lines_changes_no_byte(canary: Canary, write_lines: Write) -> None:
    """Seeds come from the plan, and pairs are sorted before any sum."""
    golden, baseline, candidate = make_arms()
    first = compare(canary, write_lines, golden, baseline, candidate).out
    for rows in (golden, baseline, candidate):
        random.Random(7).shuffle(rows)

    assert compare(canary, write_lines, golden, baseline, candidate).out == first


def test_the_hash_seed_changes_no_byte(canary: Canary, write_lines: Write, tmp_path: Path) -> None:
    """Two fresh interpreters with different PYTHONHASHSEED agree with this one."""
    golden, baseline, candidate = make_arms(cases=120)
    here = compare(canary, write_lines, golden, baseline, candidate).out
    command = [
        sys.executable,
        "-m",
        "canary",
        "compare",
        "one.jsonl",
        "two.jsonl",
        "--golden",
        "prompts.jsonl",
        "--json",
    ]

    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        document, mine = json.loads(done.stdout), json.loads(here)
        document["warnings"] = mine["warnings"] = []  # they name the file by the path it was given with

        assert document == mine


def test_one_changed_answer_changes_the_record(canary: Canary, write_lines: Write) -> None:
    """The verdict is bound to the evidence, text included."""
    golden, baseline, candidate = make_arms(cases=60)
    before = compare(canary, write_lines, golden, baseline, candidate).verdict
    candidate[0]["output"] += "."
    after = compare(canary, write_lines, golden, baseline, candidate).verdict

    assert before["record"]["candidate_responses"] != after["record"]["candidate_responses"]
    assert before["record"]["baseline_responses"] == after["record"]["baseline_responses"]
    assert before["candidate"]["digest"] != after["candidate"]["digest"]


def test_intervals_agree_with_statuses(canary: Canary, write_lines: Write) -> None:
    """A signal is inside its margin exactly when its interval is."""
    for seed in range(6):
        golden, baseline, candidate = make_arms(cases=90 + 40 * seed, seed=seed)
        for s in compare(canary, write_lines, golden, baseline, candidate).verdict["signals"]:
            if s["low"] is None or s["high"] is None:
                continue
            falls = s["kind"] == "quality"
            inside = s["low"] > -s["margin"] if falls else s["high"] < s["margin"]

            assert inside == (s["p_noninferior"] < 0.05), (seed, s["name"], s["low"], s["high"], s["p_noninferior"])


def test_latencies_recorded_at_different_times_are_shown_with_a_warning(canary: Canary, write_lines: Write) -> None:
    """Whoever compares yesterday's file with today's is told; one hour later but overlapping, nobody is."""
    golden, baseline, candidate = make_arms()

    def warned(later: float) -> set[str]:
        moved = [row | {"started_at": row["started_at"] + later} for row in candidate]
        signals = compare(canary, write_lines, golden, baseline, moved).verdict["signals"]
        return {s["name"] for s in signals if any("recorded at different times" in text for text in s["warnings"])}

    assert warned(86_400) >= {"latency/ttft/tm95", "latency/ttft/slow", "latency/itl/tm95"}
    assert all(name.startswith("latency/") for name in warned(86_400))
    assert warned(60) == set()
