"""How soon a run that is looked at notices a loss."""

from __future__ import annotations

import math

import numpy as np

from canary.stats.sequential import harm_bets, harm_values


def median_stop(cases: int, psi: float, drop: float, *, alpha: float, replicates: int = 400, seed: int = 0) -> float:
    """Cases after which half of the runs are certain that one stratum lost `drop`; infinite beyond `cases`.

    By a seeded simulation of the betting process against "no worse" at level
    `alpha`, the signal's own share: pairs are lost and won at random with
    discordance `psi`, or `drop` where that is larger. `drop` in (0, 1].
    """
    share = max(psi, drop)
    draws = np.random.default_rng(seed).random((replicates, cases))
    lead = np.where(draws < (share + drop) / 2, -1.0, np.where(draws < share, 1.0, 0.0))
    certain = np.array([harm_bets(alpha).trace(harm_values(row)) for row in lead]) >= math.log(1 / alpha)
    first = np.where(certain.any(axis=1), certain.argmax(axis=1) + 1, np.inf)
    return float(np.sort(first)[(replicates - 1) // 2])
