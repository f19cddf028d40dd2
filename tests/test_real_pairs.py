"""Verdicts on real outputs of real models, against an independent computation."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests

Rows = list[Mapping[str, Any]]

PAIRS = [
    ("175b_finetuning", "175b_verification", {"promote"}),
    ("175b_verification", "175b_finetuning", {"rollback"}),
    ("6b_verification", "175b_finetuning", {"rollback"}),
    ("175b_finetuning", "6b_verification", {"promote", "hold"}),
]
"""STATISTICS 3: baseline, candidate, and the verdicts allowed."""


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Every row of a JSONL file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def gsm8k(folder: Path) -> list[dict[str, Any]]:
    """Every GSM8K row with the answer after `A:` taken apart."""
    return read_lines(folder / "gsm8k" / "gsm8k_outputs.jsonl")


def answer(text: str) -> str:
    """The number after `A:`, the way the data set marks it."""
    return text.rsplit("A:", maxsplit=1)[-1].strip().replace(",", "")


def golden_rows(rows: list[dict[str, Any]], scorer: Path) -> Rows:
    """The cases in the contract's format."""
    return [
        {
            "id": f"gsm8k-{row['id']}",
            "vars": {"prompt": row["prompt"]},
            "expected": answer(row["reference"]),
            "metadata": {"stratum": row["category"]},
            "assert": [{"type": "python", "value": f"file://{scorer}:is_right", "metric": "answer"}],
        }
        for row in rows
    ]


def response_rows(rows: list[dict[str, Any]], model: str, *, scored: bool) -> Rows:
    """One model's outputs in the contract's format, with its recorded correctness or without."""
    return [
        {"id": f"gsm8k-{row['id']}", "output": row[model]["output"]}
        | ({"scores": {"correct": row[model]["correct"]}} if scored else {})
        for row in rows
    ]


def tango(lost: int, won: int, n: int, null: float) -> float:
    """Tango's score statistic by maximising the restricted likelihood numerically."""

    def negative(p_lost: float) -> float:
        p_won = p_lost + null
        rest = 1 - p_lost - p_won
        cells = ((lost, p_lost), (won, p_won), (n - lost - won, rest))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in cells)

    low, high = max(0.0, -null), (1 - null) / 2
    best = optimize.minimize_scalar(negative, bounds=(low, high), method="bounded", options={"xatol": 1e-14}).x
    variance = n * (2 * best + null * (1 - null))
    return (won - lost - n * null) / math.sqrt(variance)


def expected_numbers(
    rows: list[dict[str, Any]], baseline: str, candidate: str, stratum: str, margin: float
) -> dict[str, float]:
    """Mid-p, non-inferiority and estimate of one stratum, computed from counts alone."""
    chosen = [row for row in rows if stratum in {"all", row["category"]}]
    pairs = Counter((row[baseline]["correct"], row[candidate]["correct"]) for row in chosen)
    lost, won, n = pairs[True, False], pairs[False, True], len(chosen)
    tail = stats.binom.sf(lost - 1, lost + won, 0.5) - 0.5 * stats.binom.pmf(lost, lost + won, 0.5)
    return {
        "p_harm": float(tail),
        "p_noninferior": float(stats.norm.sf(tango(lost, won, n, -margin))),
        "estimate": (won - lost) / n,
        "n": n,
    }


@pytest.mark.parametrize(("baseline", "candidate", "allowed"), PAIRS)
@pytest.mark.parametrize("scored", [True, False], ids=["recorded correctness", "number after A:"])
def test_gsm8k_pairs_give_the_known_verdicts(
    shared_data: Path,
    tmp_path: Path,
    canary: Callable[..., Any],
    write_lines: Callable[[str, Rows], Path],
    baseline: str,
    candidate: str,
    allowed: set[str],
    scored: bool,  # noqa: FBT001 - pytest's parameter
) -> None:
    """Recorded correctness and the number after `A:` lead to the same verdict, strata named."""
    rows = gsm8k(shared_data)
    scorer = tmp_path / "answer.py"
    scorer.write_text(
        "def is_right(output, case):\n    return output.rsplit('A:', 1)[-1].strip().replace(',', '') == case.expected\n"
    )
    golden = write_lines("prompts.jsonl", golden_rows(rows, scorer))
    files = [
        write_lines(f"{model}.jsonl", response_rows(rows, model, scored=scored)) for model in (baseline, candidate)
    ]

    ran = canary("compare", *files, "--golden", golden, "--json")

    assert ran.verdict["verdict"] in allowed, ran.verdict["reason"]
    assert {"promote": 0, "rollback": 1, "hold": 3}[ran.verdict["verdict"]] == ran.status
    metric = "correct" if scored else "pass"
    for stratum, margin in (("all", 0.03), *((s, 0.10) for s in sorted({row["category"] for row in rows}))):
        signal = ran.signal(f"quality/{stratum.replace('+', '-')}/{metric}")
        for field, value in expected_numbers(rows, baseline, candidate, stratum, margin).items():
            assert signal[field] == pytest.approx(value, abs=1e-6), (stratum, field)


def test_holm_covers_exactly_the_blocking_family(
    shared_data: Path, canary: Callable[..., Any], write_lines: Callable[[str, Rows], Path]
) -> None:
    """Adjusted p-values are Holm's over the blocking signals that could reject."""
    rows = gsm8k(shared_data)
    golden = write_lines("prompts.jsonl", [{**case, "assert": []} for case in golden_rows(rows, Path("unused.py"))])
    files = [
        write_lines(f"{m}.jsonl", response_rows(rows, m, scored=True)) for m in ("6b_verification", "175b_finetuning")
    ]

    signals = canary("compare", *files, "--golden", golden, "--json").verdict["signals"]

    family = [s for s in signals if s["p_harm_adjusted"] is not None]
    adjusted = multipletests([s["p_harm"] for s in family], method="holm")[1]
    assert [s["name"].split("/")[0] for s in family] == ["quality"] * 5
    np.testing.assert_allclose([s["p_harm_adjusted"] for s in family], adjusted, atol=1e-12)


def test_ifeval_gpt4o_mini_rolls_back_on_keywords(
    shared_data: Path, canary: Callable[..., Any], write_lines: Callable[[str, Rows], Path]
) -> None:
    """The loss sits in one family of instructions while the average moves little."""
    source = shared_data / "ifeval" / "ifeval_en_outputs_3models.jsonl"
    rows = read_lines(source)
    cases = [{"id": str(row["id"]), "metadata": {"stratum": row["families"][0]}} for row in rows]
    golden = write_lines("prompts.jsonl", [case | {"vars": {}} for case in cases])
    files = [
        write_lines(
            f"{key}.jsonl",
            [{"id": str(r["id"]), "output": r[key]["output"], "scores": {"strict": r[key]["strict"]}} for r in rows],
        )
        for key in ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18")
    ]

    ran = canary("compare", *files, "--golden", golden, "--json")

    assert ran.status == 1
    failing = [s["name"] for s in ran.verdict["signals"] if s["status"] == "fail"]
    assert "quality/keywords/strict" in failing


def test_tau_bench_trials_never_roll_back(
    shared_data: Path, canary: Callable[..., Any], write_lines: Callable[[str, Rows], Path]
) -> None:
    """Any two trials of one model are noise, however many tasks flip."""
    with (shared_data / "tau_airline" / "tau_airline_gpt4o_4trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    trials = sorted({row["trial"] for row in rows})
    files = {
        trial: write_lines(
            f"trial-{trial}.jsonl",
            [
                {"id": row["task_id"], "output": "", "scores": {"reward": float(row["reward"])}}
                for row in rows
                if row["trial"] == trial
            ],
        )
        for trial in trials
    }

    verdicts = [
        canary("compare", files[one], files[other], "--json").verdict["verdict"]
        for one in trials for other in trials if one != other
    ]  # fmt: skip

    assert len(verdicts) == 12
    assert "rollback" not in verdicts
