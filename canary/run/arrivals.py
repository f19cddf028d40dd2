"""When the requests of an open loop arrive, drawn or read before anything is asked."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from pathlib import Path

from canary.digest import digest_of
from canary.offered import Lengths, Load, LoadPlan, PoissonLoad, lengths
from canary.run.trace import read_trace

FEWEST = 2
"""Arrivals of a trace that make a rate."""


def arrivals(load: Load | None, count: int, seed: int) -> tuple[LoadPlan | None, tuple[float, ...]]:
    """The load as resolved and `count` gaps in seconds, each before its arrival; nothing for a closed loop.

    Both arms, and every resume, have the same ones. Raises ConfigError with
    every problem of a trace.
    """
    if load is None:
        return None, ()
    if isinstance(load, PoissonLoad):
        lot = random.Random(f"{seed}/arrivals")
        gaps = tuple(lot.expovariate(load.rate) for _ in range(count))
        return LoadPlan(shape="poisson", rate=load.rate, seconds=round(sum(gaps), 3)), gaps
    trace = read_trace(Path(load.file), max(FEWEST, count))
    times = [arrival.at / load.speed for arrival in trace]
    plan = LoadPlan(
        shape="trace",
        rate=(len(times) - 1) / times[-1],
        seconds=round(times[count - 1], 3),
        speed=load.speed,
        sha256=digest_of(trace),
        input_tokens=_lengths(arrival.input_tokens for arrival in trace),
        output_tokens=_lengths(arrival.output_tokens for arrival in trace),
    )
    return plan, (0.0, *(after - before for before, after in itertools.pairwise(times)))[:count]


def _lengths(tokens: Iterable[int | None]) -> Lengths | None:
    known = [count for count in tokens if count is not None]
    return lengths(known) if known else None
