"""Real pairs of real models, subsampled, relabelled and resampled.

The data is public: example solutions of openai/grade-school-math, the
evaluations of shisa-ai/M-IFEval, the historical trajectories of
sierra-research/tau-bench.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decisions.cell import RUNS, Cell, kind_of
from benchmarks.decisions.counts import Counts, Floats, Ints

SIZES = (50, 100, 200, 400)
GSM8K = (
    ("175b_finetuning", "175b_verification"),
    ("175b_verification", "175b_finetuning"),
    ("6b_verification", "175b_finetuning"),
    ("175b_finetuning", "6b_verification"),
)
IFEVAL = (("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two models' results on the same cases: lost, won, both, neither per stratum."""

    name: str
    strata: tuple[str, ...]
    cells: Ints
    """Shape (K, 4)."""

    @property
    def cases(self) -> int:
        """Cases in all."""
        return int(self.cells.sum())

    @property
    def differences(self) -> Floats:
        """Candidate minus baseline per stratum, (K,)."""
        return np.asarray((self.cells[:, 1] - self.cells[:, 0]) / self.cells.sum(axis=1))

    @property
    def difference(self) -> float:
        """Candidate minus baseline over all cases."""
        return float((self.cells[:, 1] - self.cells[:, 0]).sum() / self.cases)

    @property
    def discordance(self) -> float:
        """Share of cases whose result differs."""
        return float(self.cells[:, :2].sum() / self.cases)


def read_pairs(folder: Path) -> tuple[Pair, ...]:
    """Every real pair that is compared."""
    gsm8k, ifeval = _rows(folder / "gsm8k" / "gsm8k_outputs.jsonl"), _rows(folder / "ifeval" / _IFEVAL_FILE)
    return (
        *(_pair("GSM8K", gsm8k, arms, "correct", [str(row["category"]) for row in gsm8k]) for arms in GSM8K),
        *(_pair("IFEval", ifeval, arms, "strict", [str(row["families"][0]) for row in ifeval]) for arms in IFEVAL),
    )


_IFEVAL_FILE = "ifeval_en_outputs_3models.jsonl"


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _pair(source: str, rows: list[dict[str, Any]], arms: tuple[str, str], field: str, strata: Sequence[str]) -> Pair:
    names = tuple(sorted(set(strata)))
    cells = np.zeros((len(names), 4), dtype=np.int64)
    for row, stratum in zip(rows, strata, strict=True):
        baseline, candidate = (bool(row[arm][field]) for arm in arms)
        cells[names.index(stratum)][_CELL[baseline, candidate]] += 1
    return Pair(name=f"{source} {' to '.join(_short(arm) for arm in arms)}", strata=names, cells=cells)


_CELL = {(True, False): 0, (False, True): 1, (True, True): 2, (False, False): 3}


def _short(arm: str) -> str:
    return arm.removesuffix("-2024-08-06").removesuffix("-2024-07-18").replace("_", " ")


def read_trials(folder: Path) -> Floats:
    """Chances of lost, won, both, neither for two random trials of a random tau-bench task, (1, 4).

    Four trials a task make twelve ordered pairs of different trials.
    """
    with (folder / "tau_airline" / "tau_airline_gpt4o_4trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    tasks = sorted({row["task_id"] for row in rows})
    passed = np.array([sum(float(row["reward"]) for row in rows if row["task_id"] == task) for task in tasks])
    flips = np.mean(passed * (4 - passed) / 12)
    both = np.mean(passed * (passed - 1) / 12)
    return np.array([[flips, flips, both, 1 - both - 2 * flips]])


def real_cells(folder: Path, runs: int = RUNS) -> Iterator[Cell]:
    """Subsamples of every pair; then unchanged candidates, and candidates at a margin."""
    pairs = read_pairs(folder)
    for pair in pairs:
        yield from _subsampled(pair, runs)
    near, ifeval = pairs[2], pairs[-1]
    for pair, stratum in ((near, "steps_3"), (ifeval, "keywords")):
        yield from _resampled(pair, "unchanged: arms swapped by coin", _relabelled(pair, {}), runs)
        yield from _resampled(pair, f"swapped by coin, {stratum} -10 points", _relabelled(pair, {stratum: -0.10}), runs)
    trials = read_trials(folder)
    for n in SIZES:
        yield _drawn("tau-bench gpt-4o, trial to trial", "unchanged: the same model", trials, n, runs)


def _subsampled(pair: Pair, runs: int) -> Iterator[Cell]:
    """Cases drawn without replacement; all of them are one run."""
    kind = kind_of(pair.difference, pair.differences.tolist())
    worst = int(np.argmin(pair.differences))
    truth = (
        f"{100 * pair.difference:+.1f} points, worst stratum {pair.strata[worst]} {100 * pair.differences[worst]:+.1f}"
    )
    for n in (*SIZES, pair.cases):
        rng = np.random.default_rng((n, *pair.cells.ravel().tolist()))
        drawn = rng.multivariate_hypergeometric(pair.cells.ravel(), n, size=runs if n < pair.cases else 1)
        yield Cell(
            evidence=pair.name,
            truth=truth,
            kind=kind,
            pairs=f"{n}" if n < pair.cases else f"all {n:,}",
            discordance=pair.discordance,
            counts=Counts.of_cells(drawn.reshape(len(drawn), *pair.cells.shape)),
        )


def _relabelled(pair: Pair, at: dict[str, float]) -> Floats:
    """Chances of each cell when the arms of discordant pairs are swapped at random, (K, 4).

    By a fair coin the arms are equal; a stratum in `at` is given that true
    difference by a coin that is not. Discordance stays what it is.
    """
    shares = pair.cells / pair.cases
    for k, stratum in enumerate(pair.strata):
        discordant, size = shares[k, :2].sum(), shares[k].sum()
        shift = at.get(stratum, 0.0) * size
        if abs(shift) > discordant:
            raise ValueError(f"{stratum}: {at[stratum]} exceeds the discordance")
        shares[k, :2] = (discordant - shift) / 2, (discordant + shift) / 2
    return shares


def _resampled(pair: Pair, truth: str, shares: Floats, runs: int) -> Iterator[Cell]:
    for n in (*SIZES, pair.cases):
        yield _drawn(pair.name, truth, shares, n, runs)


def _drawn(name: str, truth: str, shares: Floats, n: int, runs: int) -> Cell:
    """Cases drawn with replacement, so that what is true of them is exactly true."""
    rng = np.random.default_rng((n, len(truth), *np.round(1e6 * shares.ravel()).astype(int).tolist()))
    drawn = rng.multinomial(n, shares.ravel() / shares.sum(), size=runs)
    shift = np.round((shares[:, 1] - shares[:, 0]) / shares.sum(axis=1), 12)
    return Cell(
        evidence=name,
        truth=truth,
        kind=kind_of(float(np.round((shares[:, 1] - shares[:, 0]).sum(), 12)), shift.tolist()),
        pairs=f"{n:,}",
        discordance=float(shares[:, :2].sum()),
        counts=Counts.of_cells(drawn.reshape(runs, *shares.shape)),
    )
