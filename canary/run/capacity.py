"""How much an engine must hold at once, by Little's law in tokens."""

from __future__ import annotations

from collections.abc import Iterator

from canary.calibration import Usage
from canary.plan import Pipeline
from canary.release import LiveRelease
from canary.stats.power import tokens_in_flight

PEAK = 3.0
"""Busiest minute over the mean of the burstier of two published production traces (Azure 2023, code)."""


def capacity(pipeline: Pipeline, usage: Usage | None, rate: float | None) -> Iterator[str]:
    """One sentence for this run's own load, and one for `rate` requests a second of production.

    L = rate x time in the system; a request in flight holds its input and, on
    average over its life, half its output. Both lengths and the time are the
    baseline's as calibrated.
    """
    if not any(isinstance(release, LiveRelease) for release in (pipeline.baseline, pipeline.candidate)):
        return
    if usage is None or not usage.total_s or usage.input_tokens is None or usage.output_tokens is None:
        if rate is not None:
            yield "capacity: unknown until lengths and times are measured (canary calibrate noise)"
        return
    where = "of both arms' engine" if pipeline.shares_engine else "per arm"
    here = pipeline.in_flight / usage.total_s
    held = tokens_in_flight(here, usage.total_s, usage.input_tokens, usage.output_tokens)
    yield (
        f"capacity: {pipeline.in_flight} requests in flight hold about {held:,.0f} tokens of KV cache {where} "
        f"({here:.1f} requests/s of {usage.total_s:.2f} s each)"
    )
    if rate is not None:
        yield _production(pipeline, usage, rate)


def _production(pipeline: Pipeline, usage: Usage, rate: float) -> str:
    """What the candidate must hold before it gets the traffic."""
    seconds = usage.total_s or 0.0
    held = tokens_in_flight(rate, seconds, usage.input_tokens or 0.0, usage.output_tokens or 0.0)
    flight = rate * seconds
    untried = (
        f"; {PEAK * flight:.0f} in flight are more than the {pipeline.concurrency} this pipeline tries, so expect "
        "longer times there: raise 'concurrency' and calibrate again"
        if PEAK * flight > pipeline.concurrency
        else ""
    )
    return (
        f"to serve {rate:g} requests/s: {flight:.1f} requests and {held:,.0f} tokens in flight on average, "
        f"{PEAK * flight:.1f} and {PEAK * held:,.0f} in a minute {PEAK:g} times as busy{untried}"
    )
