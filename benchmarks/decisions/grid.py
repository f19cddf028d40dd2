"""Simulated releases: eight strata, four discordances, three sizes, five truths."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.decisions.cell import RUNS, Cell, kind_of
from benchmarks.decisions.counts import Counts, Floats

STRATA = 8
PASS_RATE = 0.85
"""The baseline's, in every stratum; only Kayenta's rule looks at it."""
DISCORDANCES = (0.02, 0.05, 0.10, 0.15)
SIZES = (60, 150, 300)

TRUTHS: dict[str, tuple[float, ...]] = {
    "unchanged": (0.0,) * STRATA,
    "one stratum -10 points": (-0.10,) + (0.0,) * (STRATA - 1),
    "one stratum -20 points": (-0.20,) + (0.0,) * (STRATA - 1),
    "all strata -3 points": (-0.03,) * STRATA,
    "all strata +2 points": (0.02,) * STRATA,
}
"""True differences per stratum. -10 and -3 points are exactly at a margin."""


def simulated_cells(runs: int = RUNS) -> Iterator[Cell]:
    """Sixty cells, each with a seed of its own."""
    for truth in TRUTHS:
        for psi in DISCORDANCES:
            for size in SIZES:
                yield simulated_cell(truth, psi, size, runs)


def simulated_cell(truth: str, psi: float, size: int, runs: int = RUNS) -> Cell:
    """Runs of `size` pairs in each of eight strata.

    Where a shift exceeds the discordance, it is the discordance.
    """
    shift = np.array(TRUTHS[truth])
    seed = (list(TRUTHS).index(truth), DISCORDANCES.index(psi), size)
    rng = np.random.default_rng(seed)
    cells = [rng.multinomial(size, shares, size=runs) for shares in _shares(shift, psi)]
    return Cell(
        evidence=f"simulated, 8 strata of {size}",
        truth=truth,
        kind=kind_of(float(shift.mean()), shift.tolist()),
        pairs=f"{STRATA * size:,}",
        discordance=psi,
        counts=Counts.of_cells(np.stack(cells, axis=1)),
    )


def _shares(shift: Floats, psi: float) -> Floats:
    """Probabilities of lost, won, both passed and neither, (K, 4)."""
    discordant = np.maximum(psi, np.abs(shift))
    lost, won = (discordant - shift) / 2, (discordant + shift) / 2
    both = PASS_RATE - lost
    return np.stack([lost, won, both, 1 - both - lost - won], axis=1)
