"""What an open loop asks of both arms, said before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from canary.calibration import Usage
from canary.offered import described
from canary.run.load import Loaded


def load_lines(loaded: Loaded, usage: Usage | None) -> Iterator[str]:
    """How the load is shaped, and by Little's law what it keeps in flight; nothing for a closed loop."""
    load = loaded.plan.load
    if load is None:
        return
    yield f"load: {described(load)}, {len(loaded.gaps)} requests of each arm in {load.seconds:,.0f} s"
    if load.input_tokens is not None and load.output_tokens is not None:
        yield _lengths(load.input_tokens.mean, load.output_tokens.mean, usage)
    flight = _flight(loaded, usage)
    if flight is None:
        yield f"load: whether 'concurrency: {loaded.pipeline.concurrency}' holds it is unknown until times are measured"
        return
    mean, most = flight
    waits = "; arrivals beyond 'concurrency' wait, and count as late" if most > loaded.pipeline.concurrency else ""
    yield f"load: about {mean:.1f} requests of each arm in flight, {most} at most{waits}"


def overload(loaded: Loaded, usage: Usage | None) -> list[str]:
    """Why the load cannot be offered as calibrated; empty where it can."""
    flight, bound = _flight(loaded, usage), loaded.pipeline.concurrency
    if loaded.plan.load is None or flight is None or flight[0] <= bound:
        return []
    mean, most = flight
    cannot = f"'concurrency: {bound}' cannot hold {loaded.plan.load.rate:.3g} requests/s"
    held = f"by Little's law {mean:.1f} are in flight on average, {most} at most"
    return [f"{cannot}: {held}; set 'concurrency: {most}' or more, or lower the load"]


def _lengths(reads: float, writes: float, usage: Usage | None) -> str:
    """Which case meets which arrival is up to the strata, so only the means can be compared."""
    trace = f"load: the trace's prompts have {reads:,.0f} tokens on average, its answers {writes:,.0f}"
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return trace
    return f"{trace}; those of these cases {usage.input_tokens:,.0f} and {usage.output_tokens:,.0f} as calibrated"


def _flight(loaded: Loaded, usage: Usage | None) -> tuple[float, int] | None:
    """Requests of an arm in flight until the last arrives, on average and at most, were all as long as calibrated.

    Little's law over a finite time: what one request adds is the time it is there.
    """
    if loaded.plan.load is None or usage is None or not usage.total_s:
        return None
    arrivals = np.cumsum(loaded.gaps)
    gone = np.searchsorted(arrivals, arrivals - usage.total_s, side="right")
    most = int(np.max(np.arange(1, arrivals.size + 1) - gone, initial=0))
    there = float(np.minimum(usage.total_s, arrivals[-1] - arrivals).sum())
    return (there / float(arrivals[-1]) if arrivals[-1] else float(most)), most
