"""The promise to an unchanged candidate, over everything that is looked at together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from canary.stats.cost import compare_ratio_of_means
from canary.stats.floor import check_floor
from canary.stats.latency import Sample, choose_blocks, compare_trimmed_mean
from canary.stats.multiplicity import holm
from canary.stats.paired import midp
from canary.stats.sequential import OddsProcess, harm_bets, harm_values, split_alpha
from canary.stats.vector import Floats

RUNS, STRATA, PAIRS, LOOKS = 2_000, 14, 60, 20
ALPHA = 0.05
RATES = (0.01, 0.02, 0.03, 0.02, 0.05, 0.02, 0.03, 0.04)
"""Six kinds of errors and two shares of slow requests."""


def latencies(rng: np.random.Generator, phi: float, n: int) -> tuple[Floats, Floats]:
    """Both arms of n pairs in time order under one autocorrelated effect, and noise of their own that is too."""
    shocks = rng.normal(0, 0.2, (3, n + 50))
    effects = signal.lfilter([1.0], [1.0, -phi], shocks, axis=1)[:, 50:]
    return np.exp(effects[0] + effects[1] - 2), np.exp(effects[0] + effects[2] - 2)


def final_tests(rng: np.random.Generator, differences: Floats, events: Floats, phi: float) -> list[float]:
    """One p-value per signal that has an adverse event: strata, pool, rates, two latencies, cost, floor."""
    lost, won = (differences < 0).sum(axis=1), (differences > 0).sum(axis=1)
    counts = np.append(lost, lost.sum()), np.append(won, won.sum())
    n = differences.size
    p = [float(midp(b, c)) for b, c in zip(*counts, strict=True) if b + c]
    p += [float(midp(cand, base)) for base, cand in events if base + cand]
    base, cand = latencies(rng, phi, 100)
    one, other = (Sample(arm, np.arange(arm.size), arm.size) for arm in (base, cand))
    blocks = choose_blocks(cand - base)
    for trim in (0.05, 0.01):
        found = compare_trimmed_mean(one, other, blocks, trim=trim, max_ratio=1.15, floor=0, alpha=ALPHA, seed=1)
        p.append(found.harm.p)
    costs = rng.lognormal(0, 0.5, (2, n)) * rng.lognormal(0, 0.5, n)
    p.append(compare_ratio_of_means(costs[0], costs[1], np.arange(n), max_ratio=1.1, alpha=ALPHA).harm.p)
    passed = (rng.random(n) < 0.9).astype(float)
    p.append(check_floor(passed, np.arange(n), floor=0.9, alpha=ALPHA, kind="binary").harm.p)
    return p


def alarmed_early(differences: Floats, labels: list[Floats], level: float) -> bool:
    """Whether any of the processes crosses its e-Bonferroni share at one of the looks."""
    limit = np.log((STRATA + len(labels)) / level)
    every = PAIRS // LOOKS
    strata = [harm_bets(level).trace(harm_values(row))[every - 1 :: every].max() for row in differences]
    streams = [OddsProcess.of_harm().trace(marks, 0.5).max(initial=0.0) for marks in labels]
    return bool(max(*strata, *streams) >= limit)


@pytest.mark.slow
def test_an_unchanged_candidate_is_rolled_back_at_most_at_alpha() -> None:
    """Fourteen strata, thirteen other signals, twenty looks and a final test, correlated in time: at most 5 %.

    The latencies' own rates at phi 0 and 0.5 are in tests/stats.
    """
    rng, phi = np.random.default_rng(8), 0.8
    looks, final = split_alpha(ALPHA)
    rollbacks = 0
    for _ in range(RUNS):
        u = rng.random((STRATA, PAIRS))
        differences = np.where(u < 0.05, -1.0, np.where(u < 0.1, 1.0, 0.0))
        events = rng.binomial(STRATA * PAIRS, np.array(RATES)[:, None], (len(RATES), 2)).astype(float)
        labels = [rng.permutation(np.repeat([0.0, 1.0], pair.astype(int))) for pair in events]
        early = alarmed_early(differences, labels, looks)
        rollbacks += early or bool(np.any(holm(final_tests(rng, differences, events, phi)) <= final))

    assert rollbacks / RUNS <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / RUNS)
