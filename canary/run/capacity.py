"""How much an engine must hold at once, by Little's law in tokens."""

from __future__ import annotations

from collections.abc import Iterator

from canary.calibration import Usage
from canary.offered import LoadPlan
from canary.pipeline import Pipeline
from canary.stats.power import tokens_in_flight

PEAK = 3.0
"""Busiest minute over the mean of the burstier of two published production traces (Azure 2023, code)."""


def pairs_in_flight(pipeline: Pipeline, load: LoadPlan | None, usage: Usage | None) -> float:
    """How many there are at a time: `concurrency`, or what an open loop needs on average, if no more."""
    if load is None or usage is None or not usage.total_s:
        return pipeline.concurrency
    return min(pipeline.concurrency, load.rate * usage.total_s)


def capacity(
    pipeline: Pipeline, usage: Usage | None, rate: float | None, load: LoadPlan | None = None
) -> Iterator[str]:
    """One sentence for this run's own load, and one for `rate` requests a second of production.

    L = rate x time in the system; a request in flight holds its input and, on
    average over its life, half its output. Both lengths and the time are the
    baseline's as calibrated.
    """
    if not pipeline.is_live:
        return
    if usage is None or not usage.total_s or usage.input_tokens is None or usage.output_tokens is None:
        if rate is not None:
            yield "capacity: unknown until lengths and times are measured (canary calibrate noise)"
        return
    where = "of both arms' engine" if pipeline.shares_engine else "per arm"
    tried = pairs_in_flight(pipeline, load, usage)
    flight = tried * pipeline.in_flight / pipeline.concurrency
    here = flight / usage.total_s
    held = tokens_in_flight(here, usage.total_s, usage.input_tokens, usage.output_tokens)
    yield (
        f"capacity: {round(flight, 1):g} requests in flight hold about {held:,.0f} tokens of KV cache {where} "
        f"({here:.1f} requests/s of {usage.total_s:.2f} s each)"
    )
    if rate is not None:
        yield _production(tried, usage, rate, "'concurrency'" if load is None else "the load")


def _production(tried: float, usage: Usage, rate: float, lever: str) -> str:
    """What the candidate must hold before it gets the traffic."""
    seconds = usage.total_s or 0.0
    held = tokens_in_flight(rate, seconds, usage.input_tokens or 0.0, usage.output_tokens or 0.0)
    flight = rate * seconds
    untried = (
        f"; {PEAK * flight:.0f} in flight are more than the {round(tried, 1):g} this pipeline tries, so expect "
        f"longer times there: raise {lever} and calibrate again"
        if PEAK * flight > tried
        else ""
    )
    return (
        f"to serve {rate:g} requests/s: {flight:.1f} requests and {held:,.0f} tokens in flight on average, "
        f"{PEAK * flight:.1f} and {PEAK * held:,.0f} in a minute {PEAK:g} times as busy{untried}"
    )
