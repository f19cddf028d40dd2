"""Answers of one arm that repeat an answer to another prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from canary.stats.results import Test

Rows = NDArray[np.float64]
_MOST = 1_500
_SWAPS = 999


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """The share of each arm's answers that are close to its answer to another prompt."""

    baseline: float
    candidate: float
    test: Test
    """One-sided, of the difference. Null: swapping the arms of any pair changes nothing."""


def repeat_test(baseline: Rows, candidate: Rows, expected: Sequence[object], *, alike: float, seed: int) -> Repeats:
    """Compare how many answers repeat another, unit vectors (n, d), by swaps within pairs.

    Two cases that expect the same text are never held against each other.
    Which answers are close is looked up once for each choice of arms; all 999
    random swaps are then four matrix products: p = (1 + hits)/(1 + swaps).
    Beyond 1,500 pairs a seeded sample is used, and the test says so.
    """
    rng, total = np.random.default_rng(seed), len(baseline)
    kept = np.sort(rng.choice(total, _MOST, replace=False)) if total > _MOST else np.arange(total)
    notes = (f"tested on {_MOST} of {total} pairs",) if total > _MOST else ()
    arms, wanted = (baseline[kept], candidate[kept]), _numbered([expected[i] for i in kept])
    apart = wanted[:, None] != wanted[None, :]
    close = [[(apart & (one @ other.T >= alike)).astype(np.float32) for other in arms] for one in arms]
    swaps = rng.integers(0, 2, size=(_SWAPS, len(kept))).astype(np.float32)
    chosen = np.vstack([np.ones((1, len(kept)), np.float32), swaps])  # first as it is; 1 keeps a pair's arms
    mine, theirs = (_shares(close, picked) for picked in (chosen, 1 - chosen))
    hits = int(np.sum((mine - theirs)[1:] >= (mine - theirs)[0] - 1e-12))
    test = Test(p=(1 + hits) / (1 + _SWAPS), n=len(kept), method="repeats, swaps within pairs", warnings=notes)
    return Repeats(baseline=float(theirs[0]), candidate=float(mine[0]), test=test)


def _shares(close: list[list[NDArray[np.float32]]], chosen: NDArray[np.float32]) -> Rows:
    """Per row of `chosen` (1 takes a pair's candidate, 0 its baseline), the share of answers with a close one."""
    of_candidate = chosen @ close[1][1] + (1 - chosen) @ close[0][1]
    of_baseline = chosen @ close[1][0] + (1 - chosen) @ close[0][0]
    return np.asarray(np.mean(np.where(chosen > 0, of_candidate, of_baseline) > 0, axis=1), dtype=np.float64)


def _numbered(expected: Sequence[object]) -> NDArray[np.int64]:
    """Equal texts as equal numbers; what expects nothing is like nothing but itself."""
    known: dict[str | int, int] = {}  # what a case expects may be a list or a mapping
    keys = [place if wanted is None else repr(wanted) for place, wanted in enumerate(expected)]
    return np.array([known.setdefault(key, len(known)) for key in keys])
