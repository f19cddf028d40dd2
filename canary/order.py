"""In which order the cases of a run are asked, and after how many it is looked at.

A function of the cases and the seed alone, so that a verdict can tell from the
evidence what was known when, whatever order the answers came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from canary.records import MINIMUM_PAIRS, Prompt

LOOKS = 20
"""Looks over a whole run; more would stop it little sooner."""


def visiting_order(prompts: Sequence[Prompt], seed: int) -> tuple[Prompt, ...]:
    """Every case once, at random within its stratum, strata in their shares.

    The j-th of a stratum's n cases stands at (j - 1/2)/n of the way, so that
    every beginning of the order holds each stratum to within one case of its
    share. The order of `prompts` is no matter.
    """
    strata: dict[str, list[tuple[bytes, Prompt]]] = {}
    for prompt in prompts:
        strata.setdefault(prompt.stratum, []).append((_lot(prompt, seed), prompt))
    placed = [
        ((2 * j + 1) / (2 * len(cases)), lot, prompt)
        for cases in strata.values()
        for j, (lot, prompt) in enumerate(sorted(cases, key=lambda case: (case[0], case[1].id)))
    ]
    return tuple(prompt for _, _, prompt in sorted(placed, key=lambda place: (place[0], place[1], place[2].id)))


def _lot(prompt: Prompt, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/order/{prompt.id}/{prompt.digest}".encode()).digest()


def checkpoints(cases: int) -> tuple[int, ...]:
    """After how many cases of the order it is looked; the last is all of them."""
    step = max(MINIMUM_PAIRS, -(-cases // LOOKS))
    return (*range(step, cases, step), cases) if cases else ()
