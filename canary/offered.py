"""The load that a run offers: as a pipeline writes it, and as resolved.

Without one the loop is closed: `concurrency` requests of each arm are always
in flight, and a slower server is simply asked less often. In an open loop
requests arrive when they are due, whatever is still unanswered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from canary.release import completed
from canary.written import Written

Positive = Annotated[float, Field(ge=0.0001, le=100_000, allow_inf_nan=False)]
TracePath = Annotated[str, Field(min_length=1), completed("trace")]


class PoissonLoad(Written):
    """Arrivals at random, independent of each other."""

    shape: Literal["poisson"]
    rate: Positive = Field(description="requests a second of each arm, on average")


class TraceLoad(Written):
    """Arrivals at the times of a recorded trace."""

    shape: Literal["trace"]
    file: TracePath = Field(description="JSONL or CSV: timestamp, and where known input_tokens, output_tokens")
    speed: Positive = Field(1.0, description="2 replays the trace in half its time")


Load = Annotated[PoissonLoad | TraceLoad, Field(discriminator="shape")]


class Lengths(BaseModel):
    """How long prompts or answers are, in tokens."""

    p50: float
    p90: float
    p99: float
    mean: float


def lengths(tokens: Sequence[int]) -> Lengths:
    """Of at least one prompt or answer; each quantile is a length that occurred (nearest rank)."""
    known = sorted(tokens)
    p50, p90, p99 = (known[math.ceil(q * len(known)) - 1] for q in (0.5, 0.9, 0.99))
    return Lengths(p50=p50, p90=p90, p99=p99, mean=fmean(known))


class LoadPlan(BaseModel):
    """An open loop as resolved."""

    shape: Literal["poisson", "trace"]
    rate: float
    """Requests a second of each arm: as asked for, or the mean of the trace as it is replayed."""
    seconds: float
    """From the beginning to the last arrival."""
    speed: float = 1.0
    sha256: str | None = None
    """Digest of the trace's arrivals that are replayed."""
    input_tokens: Lengths | None = None
    """Of the prompts of the trace's arrivals that are replayed, where it says so."""
    output_tokens: Lengths | None = None
    """The same of answers."""


def described(load: LoadPlan) -> str:
    """Its shape and rate, in words."""
    if load.shape == "poisson":
        return f"Poisson arrivals at {load.rate:g} requests/s"
    return f"the trace at {load.speed:g} times its speed, {load.rate:.3g} requests/s on average"
