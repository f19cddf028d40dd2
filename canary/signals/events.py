"""Bad events of two streams: one a routing key, per phase for the end and in order of time for looks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from canary.contrast import Contrast, Stream
from canary.plan import Plan
from canary.records import Status
from canary.signals.levels import look_levels
from canary.signals.reading import Proof
from canary.signals.wording import SEQUENCES, percent
from canary.stats.confidence_sequence import bernoulli_sequence, log_mixture
from canary.stats.rates import compare_event_rates, weighed_rates
from canary.stats.results import Estimate, Finding, Test
from canary.stats.sequential import OddsProcess, first_events

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

T_OPT = 1_000.0
"""Keys an arm at which confidence sequences are tightest."""
RATIOS = (1.0, 1.25, 1.5, 2.0, 4.0, 16.0)
"""Multiples of the tolerated odds ratio that must be excluded too, since worse must not look safer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EventCounts:
    """Keys and bad keys of both arms per phase, and the bad ones in order of time."""

    counts: tuple[Ints, Ints, Ints, Ints]
    """Bad and all keys of the baseline, then of the candidate; shape (phases,), both arms in each."""
    bad: tuple[int, int]
    keys: tuple[int, int]
    is_candidate: Bools
    """Arm of each key's first bad event, in order of time."""
    shares: NDArray[np.float64]
    """The candidate's share when that key was routed."""

    @property
    def may_be_looked_at(self) -> bool:
        """Whether every bad event's share is known."""
        return not bool(np.isnan(self.shares).any())


def count_events(contrast: Contrast, baseline: Bools, candidate: Bools, *, since: float = -math.inf) -> EventCounts:
    """Count keys with a bad value (marks (m,) of each arm), among values that began after `since`."""
    arms = [
        _first_bad(stream, marks, since)
        for stream, marks in ((contrast.baseline, baseline), (contrast.candidate, candidate))
    ]
    phases = 1 + max((int(arm.phases.max(initial=-1)) for arm in arms), default=-1)
    table = [np.bincount(phase, minlength=phases) for arm in arms for phase in (arm.phases[arm.is_bad], arm.phases)]
    shared = (table[1] > 0) & (table[3] > 0)
    times = np.concatenate([arm.times for arm in arms])
    marks = np.repeat([False, True], [arm.times.size for arm in arms])
    order = np.lexsort((marks, times))
    return EventCounts(
        counts=(table[0][shared], table[1][shared], table[2][shared], table[3][shared]),
        bad=(int(arms[0].is_bad.sum()), int(arms[1].is_bad.sum())),
        keys=(arms[0].is_bad.size, arms[1].is_bad.size),
        is_candidate=marks[order],
        shares=np.concatenate([arm.shares for arm in arms])[order],
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Arm:
    """One arm's keys."""

    phases: Ints
    """Shape (keys,)."""
    is_bad: Bools
    times: NDArray[np.float64]
    """Of each bad key's first bad event."""
    shares: NDArray[np.float64]


def _first_bad(stream: Stream, marks: Bools, since: float) -> _Arm:
    counted = stream.times > since
    units, bad = stream.units[counted], marks[counted]
    keys = np.unique(units)
    hits = units[bad]
    first = first_events(hits)
    return _Arm(
        phases=stream.phases[keys],
        is_bad=np.isin(keys, hits),
        times=stream.times[counted][bad][first],
        shares=stream.shares[hits[first]],
    )


def compare_events(events: EventCounts, margin: float, plan: Plan, alpha: float) -> Finding:
    """The fixed test at the end, or while the log grows what may be shown of both rates."""
    if min(events.counts[1].sum(), events.counts[3].sum()) == 0:
        raise ValueError("the arms were never served at the same time")
    if plan.traffic is not None and plan.traffic.open:
        return _shown(events, margin, alpha)
    return compare_event_rates(*events.counts, margin=margin, alpha=alpha)


def _shown(events: EventCounts, margin: float, alpha: float) -> Finding:
    """Both rates with the difference of their confidence sequences; decides nothing.

    Where the split changed the arms' own rates are of different mixes, so their
    sequences are told apart instead of subtracted.
    """
    base, cand = (
        bernoulli_sequence(bad, keys, alpha=alpha, t_opt=T_OPT)
        for bad, keys in zip(events.bad, events.keys, strict=True)
    )
    rates = weighed_rates(*events.counts)
    n, how = min(events.keys), SEQUENCES
    alike = events.counts[1].tolist() == [events.keys[0]] and events.counts[3].tolist() == [events.keys[1]]
    texts = [f"{percent(end.center)} [{percent(end.low)}, {percent(end.high)}]" for end in (base, cand)]
    told = f"the split changed; as served, each with its own mix: {' -> '.join(texts)} at every look"
    nothing = Test(p=1.0, n=n, method="none")
    return Finding(
        estimate=Estimate(
            center=rates[1] - rates[0],
            low=cand.low - base.high if alike else -math.inf,
            high=cand.high - base.low if alike else math.inf,
            confidence=1 - 2 * alpha,
            n=n,
            method=how,
        ),
        harm=nothing,
        noninferior=nothing,
        can_reject=False,
        baseline=rates[0],
        candidate=rates[1],
        margin=margin,
        method=how,
        warnings=() if alike or not any(events.bad) else (told,),
    )


def harm_of(events: EventCounts) -> OddsProcess:
    """The e-process against "the candidate is no worse", after the last bad event."""
    return OddsProcess.of_harm().advance(events.is_candidate, events.shares)


def safety_of(events: EventCounts, margin: float, plan: Plan) -> Proof | None:
    """The proof that the rate rose by less than `margin`, None while there is none.

    Two ways, each at a third of the looks' level: the candidate's own rate is
    below `margin`, or its odds ratio is below the one that `margin` means at
    the highest baseline rate that a confidence sequence (the last third)
    allows; the ratio falls as that rate rises.
    """
    alpha = look_levels(plan).promote
    bars = [_own_rate(events, margin, alpha / 3), _odds(events, margin, alpha / 3)]
    log_e = max(bars) - math.log(3)
    return Proof(status=Status.PASS, log_e=log_e, alpha=alpha) if log_e >= math.log(1 / alpha) else None


def _own_rate(events: EventCounts, margin: float, alpha: float) -> float:
    bad, keys = events.bad[1], events.keys[1]
    if keys == 0 or bad / keys >= margin:
        return 0.0
    return float(log_mixture(bad / keys, keys, margin, T_OPT, alpha))


def _odds(events: EventCounts, margin: float, alpha: float) -> float:
    if events.is_candidate.size == 0 or min(events.keys) == 0:
        return 0.0
    most = bernoulli_sequence(events.bad[0], events.keys[0], alpha=2 * alpha, t_opt=T_OPT).high
    if most + margin >= 1:
        return 0.0
    ratio = (most + margin) / (1 - most - margin) * (1 - most) / most
    return min(
        OddsProcess.of_safety(max_ratio=ratio * times).advance(events.is_candidate, events.shares).log_e
        for times in RATIOS
    )
