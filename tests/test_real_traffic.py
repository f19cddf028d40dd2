"""Recorded latencies of real endpoints, routed at random into two arms."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]


@pytest.fixture
def records(shared_data: Path) -> list[Row]:
    """Every request of five endpoints, as lines without an id."""
    with (shared_data / "llmperf" / "llmperf_7b.csv").open(encoding="utf-8") as file:
        return [_line(row) for row in csv.DictReader(file)]


def _line(row: dict[str, str]) -> Row:
    if row["error_code"]:
        return {"provider": row["provider"], "error": {"kind": "throttled"}}
    return {
        "provider": row["provider"],
        "ttft_s": float(row["ttft_s"]),
        "tpot_s": float(row["inter_token_latency_s"]),
        "total_s": float(row["end_to_end_latency_s"]),
        "output_tokens": int(row["output_tokens"]),
    }


def lines(rows: list[Row], arm: str) -> list[Row]:
    """The rows in the order given, two a second, with an id."""
    return [
        {"id": f"{arm}{i}", "started_at": 1.7e9 + row["at"], "share": 0.5}
        | {key: value for key, value in row.items() if key not in {"at", "provider"}}
        for i, row in enumerate(rows)
    ]


def routed(records: list[Row], seed: int, slower: float = 1.0) -> tuple[list[Row], list[Row]]:
    """What was served, in random order, to arms drawn by coin; the candidate's first token comes later."""
    rng = random.Random(seed)
    served = [dict(record) for record in records if "error" not in record]
    rng.shuffle(served)
    arms: tuple[list[Row], list[Row]] = ([], [])
    for at, record in enumerate(served):
        arm = rng.random() < 0.5
        arms[arm].append(record | {"at": at / 2, "ttft_s": record["ttft_s"] * (slower if arm else 1)})
    return lines(arms[0], "b"), lines(arms[1], "c")


def test_one_mix_of_endpoints_is_not_rolled_back(
    records: list[Row], canary: Callable[..., Any], write_lines: Callable[..., Path]
) -> None:
    """Five random splits of the same requests: at most one alarm, and every latency is measured."""
    rolled_back = 0
    for seed in range(5):
        base, cand = routed(records, seed)
        ran = canary("compare", write_lines("b.jsonl", base), write_lines("c.jsonl", cand), "--traffic", "--json")
        rolled_back += ran.status == 1
        assert ran.signal("latency/ttft/tm95")["low"] < 1 < ran.signal("latency/ttft/tm95")["high"] or ran.status != 0
        assert "time-block bootstrap" in ran.signal("latency/itl/tm95")["method"]

    assert rolled_back <= 1


def test_a_later_first_token_is_found(
    records: list[Row], canary: Callable[..., Any], write_lines: Callable[..., Path]
) -> None:
    """Twice the time to the first token, on real heavy-tailed times, rolls back."""
    base, cand = routed(records, 0, slower=2.0)
    ran = canary("compare", write_lines("b.jsonl", base), write_lines("c.jsonl", cand), "--traffic", "--json")

    assert ran.status == 1
    assert ran.signal("latency/ttft/tm95")["status"] == "fail"
    assert ran.signal("latency/itl/tm95")["status"] != "fail"


def test_a_throttling_endpoint_is_rolled_back_in_a_look(
    records: list[Row], canary: Callable[..., Any], write_lines: Callable[..., Path]
) -> None:
    """One endpoint throttled 130 of 150 requests, another none: the first look is enough."""
    arms = [
        [r | {"at": 2.0 * i} for i, r in enumerate(s for s in records if s["provider"] == name)]
        for name in ("together", "lepton")
    ]
    files = [write_lines(f"{name}.jsonl", lines(rows, name)) for name, rows in zip("bc", arms, strict=True)]
    ran = canary("compare", *files, "--traffic", "--look", "--json")

    assert ran.status == 1
    assert ran.signal("errors/server")["candidate"] == pytest.approx(130 / 150)
    assert "e-process" in ran.signal("errors/server")["method"]
