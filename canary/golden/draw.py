"""A stratified draw: fewer cases, every stratum still heard."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from dataclasses import replace

from canary.golden.sets import GoldenSet
from canary.records import MINIMUM_PAIRS, Prompt


def draw(golden: GoldenSet, cases: int | None, seed: int) -> GoldenSet:
    """So many cases, or all for None; the weights stay those of the whole set.

    Strata share by weight, but never below ten cases or all they have. A case
    is drawn for its own sake: the order of lines changes nothing, and a larger
    draw holds every smaller one of the same seed.
    """
    available = golden.counts()
    wanted = sum(available.values()) if cases is None else cases
    allotted = _allotted(available, golden.strata, wanted)
    drawn = []
    for stratum, count in allotted.items():
        ranked = sorted((p for p in golden.prompts if p.stratum == stratum), key=lambda p: _rank(p, seed))
        drawn += ranked[:count]
    return replace(
        golden,
        prompts=tuple(sorted(drawn, key=lambda prompt: prompt.id)),
        warnings=golden.warnings + _warnings(available, allotted, wanted),
    )


def _allotted(available: Mapping[str, int], weights: Mapping[str, float], cases: int) -> dict[str, int]:
    """Ten each, then one at a time to whoever is furthest behind its weight."""
    allotted = {stratum: min(MINIMUM_PAIRS, count) for stratum, count in available.items()}
    waiting = [
        ((count + 1) / weights[stratum], stratum) for stratum, count in allotted.items() if count < available[stratum]
    ]
    heapq.heapify(waiting)
    for _ in range(cases - sum(allotted.values())):
        if not waiting:
            break
        _, stratum = waiting[0]
        allotted[stratum] += 1
        if allotted[stratum] < available[stratum]:
            heapq.heapreplace(waiting, ((allotted[stratum] + 1) / weights[stratum], stratum))
        else:
            heapq.heappop(waiting)
    return allotted


def _rank(prompt: Prompt, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{prompt.id}:{prompt.digest}".encode()).digest()


def _warnings(available: Mapping[str, int], allotted: Mapping[str, int], wanted: int) -> tuple[str, ...]:
    said = [
        f"stratum {stratum!r} has {count} cases, and a signal needs {MINIMUM_PAIRS}"
        for stratum, count in available.items()
        if count < MINIMUM_PAIRS
    ]
    total = sum(allotted.values())
    if total > wanted:
        said.append(f"{total} cases are drawn instead of {wanted}: each stratum needs {MINIMUM_PAIRS}")
    if wanted > sum(available.values()):
        said.append(f"{wanted} cases were asked for, and there are {total}")
    return tuple(said)
