"""Routed traffic: every quantity of both arms side by side, nothing paired."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from canary.compare.errors import ALWAYS, SIGNAL_OF
from canary.compare.latency import FAILED, Times, all_times, choose_gaps, flatten, read_mean_gap, read_total, read_ttft
from canary.compare.routed import Ints, RoutedArm, Traffic
from canary.compare.served import CACHE_UNSAID, cached_share, keeps_objectives, unsaid_of
from canary.contrast import Contrast, Stream
from canary.plan import Plan
from canary.records import POOLED, Arm, ErrorKind, Response, Scale
from canary.stats.rates import phased_p

BLAMED = 0.01
"""P-value below which client errors that differ between the arms are no accident."""

Row = tuple[float, float]
"""A value and what a ratio divides by."""


def traffic_contrasts(traffic: Traffic, plan: Plan) -> Iterator[Contrast]:
    """Errors, latency and cost of two streams, prefix cache and goodput where the policy asks for them.

    Lack of evidence is a contrast that says what is missing.
    """
    yield from _errors(traffic)
    yield from _latencies(traffic, plan)
    yield from _costs(traffic, plan)
    yield from _served(traffic, plan)


def contrast(
    traffic: Traffic,
    name: str,
    streams: Mapping[Arm, Stream],
    *,
    scale: Scale = Scale.UNBOUNDED,
    stratum: str = POOLED,
    missing: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Contrast:
    """One contrast, with what speaks against the whole traffic."""
    return Contrast(
        name=name,
        kind=name.partition("/")[0],
        stratum=stratum,
        metric=name.rpartition("/")[2],
        scale=scale,
        baseline=streams[Arm.BASELINE],
        candidate=streams[Arm.CANDIDATE],
        sticky=traffic.sticky,
        minutes=traffic.minutes,
        missing=(*traffic.missing, *missing),
        warnings=warnings,
    )


def _errors(traffic: Traffic) -> Iterator[Contrast]:
    """The four rates that are always measured, and any other that occurred."""
    kinds = {arm: [r.error.kind if r.error else None for r in side.responses] for arm, side in traffic.sides.items()}
    seen = {SIGNAL_OF[kind] for of_arm in kinds.values() for kind in of_arm if kind in SIGNAL_OF}
    blamed, told = _client_errors(traffic, kinds)
    for signal in (*ALWAYS, *sorted(seen - set(ALWAYS))):
        streams = {
            arm: side.stream(
                np.arange(len(side.responses)),
                np.array([kind is not None and SIGNAL_OF.get(kind) == signal for kind in kinds[arm]], dtype=float),
            )
            for arm, side in traffic.sides.items()
        }
        yield contrast(
            traffic, f"errors/{signal}", streams, scale=Scale.PASS_FAIL, missing=blamed,
            warnings=told if signal == ALWAYS[0] else (),
        )  # fmt: skip


def _client_errors(
    traffic: Traffic, kinds: Mapping[Arm, Sequence[ErrorKind | None]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Users' own mistakes are no fault of a release, unless one arm sees more of them."""
    events, units = [], []
    for arm, side in traffic.sides.items():
        marks = np.array([kind is ErrorKind.CLIENT for kind in kinds[arm]], dtype=bool)
        events.append(np.unique(side.units[marks]).size)
        units.append(side.starts.size)
    if not sum(events):
        return (), ()
    told = f"{events[0]} baseline and {events[1]} candidate keys met client errors, which count in no error rate"
    if min(units) and min(phased_p(events[i], units[i], events[1 - i], units[1 - i]) for i in (0, 1)) < BLAMED:
        return (f"{told}, though the arms differ: what one release refuses, the other took",), ()
    return (), (told,)


def _latencies(traffic: Traffic, plan: Plan) -> Iterator[Contrast]:
    """One contrast per latency that is recorded, or that the policy asks for; as for pairs."""
    gaps = choose_gaps(response for side in traffic.sides.values() for response in side.responses)
    families: tuple[tuple[str, str, Callable[[Response], Times | None]], ...] = (
        ("ttft", "ttft", read_ttft),
        ("itl", "itl", gaps),
        ("tpot", "itl", read_mean_gap),
        ("total", "total", read_total),
    )
    for metric, family, read in families:
        times = {arm: all_times(side.responses, read) for arm, side in traffic.sides.items()}
        measured = any(value not in (None, (), FAILED) for of_arm in times.values() for value in of_arm)
        if measured or f"latency/{family}" in plan.required:
            yield _latency(traffic, metric, times)


def _latency(traffic: Traffic, metric: str, times: Mapping[Arm, list[Times | None]]) -> Contrast:
    streams, missing = {}, []
    for arm, side in traffic.sides.items():
        without = sum(value is None for value in times[arm])
        lengths = _lengths(side) if metric == "total" else None
        unknown = (
            0 if lengths is None else int(np.sum((lengths < 0) & [v not in (None, (), FAILED) for v in times[arm]]))
        )
        if without:
            missing.append(f"{without} of {len(times[arm])} {arm} responses carry no {metric} time")
        if unknown:
            missing.append(f"{unknown} {arm} responses carry a total time but no length: record 'output_tokens'")
        values, rows = flatten([value or () for value in times[arm]])
        streams[arm] = side.stream(rows, values, buckets=None if lengths is None else lengths[rows])
    return contrast(traffic, f"latency/{metric}", streams, missing=tuple(missing))


def _lengths(side: RoutedArm) -> Ints:
    """The power-of-two bucket of every answer's length; -1 where unknown."""
    return np.array([r.output_tokens.bit_length() if r.output_tokens else -1 for r in side.responses], dtype=np.int64)


def _costs(traffic: Traffic, plan: Plan) -> Iterator[Contrast]:
    """Dollars per request, per session and per output token, where recorded or asked for."""
    every = [response for side in traffic.sides.values() for response in side.responses]
    priced = any(response.cost_usd is not None for response in every)
    has = {
        "per_request": priced,
        "per_session": priced and any(response.session is not None for response in every),
        "per_token": priced and any(response.output_tokens for response in every),
    }
    for metric, measured in has.items():
        if measured or f"cost/{metric}" in plan.required:
            yield _cost(traffic, metric)


def _cost(traffic: Traffic, metric: str) -> Contrast:
    """A response that answered but lacks what the ratio takes is missing evidence; an errored one is left out."""
    streams, missing = {}, []
    for arm, side in traffic.sides.items():
        found = [_priced(response, metric) for response in side.responses]
        served = [row for row, response in enumerate(side.responses) if response.error is None]
        lacking = sum(found[row] is None for row in served)
        if lacking:
            missing.append(
                f"{lacking} of {len(served)} {arm} responses lack what cost/{metric} takes: {_TAKES[metric]}"
            )
        rows = np.array([row for row, value in enumerate(found) if value is not None], dtype=np.int64)
        pairs = np.array([value for value in found if value is not None], dtype=np.float64).reshape(-1, 2)
        sizes = _first_of(side.units[rows]) if metric == "per_session" else pairs[:, 1]
        streams[arm] = side.stream(rows, pairs[:, 0], sizes)
    return contrast(traffic, f"cost/{metric}", streams, missing=tuple(missing))


_TAKES = {
    "per_request": "'cost_usd'",
    "per_session": "'cost_usd' and 'session'",
    "per_token": "'cost_usd' and 'output_tokens'",
}


def _priced(response: Response, metric: str) -> Row | None:
    if response.cost_usd is None or (metric == "per_session" and response.session is None):
        return None
    if metric == "per_token":
        return None if response.output_tokens is None else (response.cost_usd, float(response.output_tokens))
    return response.cost_usd, 1.0


def _first_of(units: Ints) -> NDArray[np.float64]:
    """1 at a unit's first row, else 0: a session counts once."""
    sizes = np.zeros(units.size)
    sizes[np.unique(units, return_index=True)[1]] = 1.0
    return sizes


def _served(traffic: Traffic, plan: Plan) -> Iterator[Contrast]:
    """A release with a small share has a colder cache, so nobody is judged by it who did not ask."""
    if "cache/hit_rate" in plan.required:
        yield _share(traffic, "cache/hit_rate", cached_share, CACHE_UNSAID)
    if (rule := plan.policy.goodput) is not None:
        yield _share(traffic, "goodput/requests", lambda answer: keeps_objectives(answer, rule), unsaid_of(rule))


def _share(traffic: Traffic, name: str, read: Callable[[Response], float], unsaid: str) -> Contrast:
    """One share of every response; an answer that lacks it is missing evidence."""
    streams, missing = {}, []
    for arm, side in traffic.sides.items():
        values = np.array([read(response) for response in side.responses], dtype=np.float64)
        served = np.array([response.error is None for response in side.responses], dtype=bool)
        rows, lacking = np.flatnonzero(np.isfinite(values)), int((served & ~np.isfinite(values)).sum())
        if lacking:
            missing.append(f"{lacking} of {int(served.sum())} {arm} responses {unsaid}")
        streams[arm] = side.stream(rows, values[rows])
    return contrast(traffic, name, streams, scale=Scale.BOUNDED, missing=tuple(missing))
