"""Routed traffic in order of time: routing keys, what both arms met alike, and what makes them incomparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canary.contrast import Stream
from canary.errors import EvidenceError
from canary.records import Arm, Evidence, Response
from canary.stats.streams import split_mismatch

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PHASES = 20
"""More levels of the assigned share, or stretches without one, are joined."""
BLOCKS = 400
PER_BLOCK = 10
"""Units of the smaller arm in the finest stretch of time, on average."""
MISMATCH = 1e-3
"""P-value below which the arms' sizes contradict the assigned shares."""
APART = 0.1
"""Share of an arm served outside the other's time from which they are not comparable."""
SWITCHED = 0.01
"""Share of routing keys seen in both arms from which routing was not sticky."""
LONGER = 1.5
"""Requests a key in one arm over the other's from which keys are not the same thing, where no share tells."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RoutedArm:
    """One arm, its rows in order of time."""

    responses: tuple[Response, ...]
    times: Floats
    """Shape (rows,)."""
    units: Ints
    """Shape (rows,): routing key of each row, numbered by first appearance."""
    starts: Floats
    """Shape (units,): first request of each key."""
    shares: Floats
    """Shape (units,): the share assigned then; NaN where unknown."""
    phases: Ints
    blocks: Ints
    index: Mapping[str, int]
    """Row of each id."""

    def stream(self, rows: Ints, values: Any, sizes: Any = None, buckets: Any = None) -> Stream:
        """Some rows (repeats for several values of one) with a value each."""
        return Stream(
            values=np.asarray(values, dtype=np.float64),
            sizes=np.ones(rows.size) if sizes is None else np.asarray(sizes, dtype=np.float64),
            units=self.units[rows],
            times=self.times[rows],
            phases=self.phases,
            blocks=self.blocks,
            buckets=np.zeros(rows.size, dtype=np.int64) if buckets is None else np.asarray(buckets, dtype=np.int64),
            shares=self.shares,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Traffic:
    """Both arms, and what speaks against comparing them at all."""

    sides: Mapping[Arm, RoutedArm]
    sticky: bool
    minutes: float
    missing: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Bare:
    """One arm before the other is known."""

    responses: tuple[Response, ...]
    times: Floats
    units: Ints
    starts: Floats
    shares: Floats


def tabulate_traffic(evidence: Evidence) -> Traffic:
    """Both arms in order of time, by routing key.

    A key that both arms served counts for the arm that served it first.
    Raises EvidenceError for an id that stands twice, or a line without a clock.
    """
    _require_routed(evidence.responses)
    kept, switched = _sticky(evidence.responses)
    bare = {arm: _bare([r for r in kept if r.arm is arm]) for arm in Arm}
    starts = {arm: side.starts for arm, side in bare.items()}
    phases, blocks = _phases(bare), _stretches(starts, _fine(starts))
    keys = sum(side.starts.size for side in bare.values())
    rows = sum(side.times.size for side in bare.values())
    spans = [(float(s[0]), float(s[-1])) for s in starts.values() if s.size]
    return Traffic(
        sides={
            arm: RoutedArm(
                responses=side.responses,
                times=side.times,
                units=side.units,
                starts=side.starts,
                shares=side.shares,
                phases=phases[arm],
                blocks=blocks[arm],
                index={response.id: row for row, response in enumerate(side.responses)},
            )
            for arm, side in bare.items()
        },
        sticky=rows > keys,
        minutes=max(0.0, min(high for _, high in spans) - max(low for low, _ in spans)) / 60 if spans else 0.0,
        missing=(
            *_empty(bare),
            *_failed(bare),
            *_apart(bare),
            *_mismatched(bare),
            *_unlike(bare),
            *_switched(switched, keys),
        ),
        warnings=(*_unknown_shares(bare), *_few_switched(switched, keys)),
    )


def _require_routed(responses: Sequence[Response]) -> None:
    seen: dict[str, Arm] = {}
    for response in responses:
        if response.started_at is None:
            raise EvidenceError(f"{response.arm}: 'started_at' of {response.id!r} is missing")
        other = seen.setdefault(response.id, response.arm)
        if other is not response.arm:
            raise EvidenceError(
                f"'id' {response.id!r} stands in both arms, but a request is routed to one of them: "
                "answers of both arms to the same prompts are compared without --traffic"
            )
    if len(seen) < len(responses):
        raise EvidenceError("every 'id' must be unique within an arm of traffic")


def _key(response: Response) -> tuple[bool, str]:
    return (True, response.session) if response.session is not None else (False, response.id)


def _clock(response: Response) -> tuple[float, str]:
    return response.started_at or 0.0, response.id


def _sticky(responses: Sequence[Response]) -> tuple[list[Response], int]:
    """Every response of the arm that served its key first, in order, and how many keys switched."""
    ordered = sorted(responses, key=_clock)
    first: dict[tuple[bool, str], Arm] = {}
    for response in ordered:
        first.setdefault(_key(response), response.arm)
    strays = {_key(response) for response in ordered if first[_key(response)] is not response.arm}
    return [response for response in ordered if first[_key(response)] is response.arm], len(strays)


def _bare(responses: Sequence[Response]) -> _Bare:
    numbers: dict[tuple[bool, str], int] = {}
    firsts: list[Response] = []
    units = np.empty(len(responses), dtype=np.int64)
    for row, response in enumerate(responses):
        key = _key(response)
        if key not in numbers:
            numbers[key] = len(numbers)
            firsts.append(response)
        units[row] = numbers[key]
    return _Bare(
        responses=tuple(responses),
        times=np.array([response.started_at for response in responses], dtype=np.float64),
        units=units,
        starts=np.array([response.started_at for response in firsts], dtype=np.float64),
        shares=np.array([np.nan if r.share is None else r.share for r in firsts], dtype=np.float64),
    )


def _phases(arms: Mapping[Arm, _Bare]) -> dict[Arm, Ints]:
    """What both arms met alike: a level of the share, or without one a stretch of time."""
    shares = np.concatenate([side.shares for side in arms.values()])
    if shares.size == 0 or np.isnan(shares).any():
        return _stretches({arm: side.starts for arm, side in arms.items()}, PHASES)
    levels = np.unique(shares)
    if levels.size > PHASES:
        levels = np.unique(np.quantile(shares, np.arange(PHASES) / PHASES, method="inverted_cdf"))
    return {arm: np.searchsorted(levels, side.shares, side="right") - 1 for arm, side in arms.items()}


def _fine(starts: Mapping[Arm, Floats]) -> int:
    return int(np.clip(min(of_arm.size for of_arm in starts.values()) // PER_BLOCK, 1, BLOCKS))


def _stretches(starts: Mapping[Arm, Floats], count: int) -> dict[Arm, Ints]:
    """Equal stretches of the whole time, numbered from 0."""
    every = np.concatenate(list(starts.values()))
    if every.size == 0:
        return {arm: np.zeros(0, dtype=np.int64) for arm in starts}
    low, length = float(every.min()), max(float(np.ptp(every)), 1e-9) / count
    return {arm: np.minimum(((of_arm - low) / length).astype(np.int64), count - 1) for arm, of_arm in starts.items()}


def _empty(arms: Mapping[Arm, _Bare]) -> tuple[str, ...]:
    return tuple(f"the {arm} has no request of its own" for arm, side in arms.items() if side.times.size == 0)


def _failed(arms: Mapping[Arm, _Bare]) -> tuple[str, ...]:
    """Any candidate is better than nothing, which does not make it fit to replace the release."""
    responses = arms[Arm.BASELINE].responses
    if not responses or any(response.error is None for response in responses):
        return ()
    return (f"every one of {len(responses)} baseline responses errored: nothing to compare with",)


def _apart(arms: Mapping[Arm, _Bare]) -> tuple[str, ...]:
    """Yesterday's baseline met other traffic than today's candidate."""
    if any(side.times.size == 0 for side in arms.values()):
        return ()
    sentences = []
    for arm, other in ((Arm.BASELINE, Arm.CANDIDATE), (Arm.CANDIDATE, Arm.BASELINE)):
        times, span = arms[arm].times, arms[other].times
        outside = int(np.sum((times < span[0]) | (times > span[-1])))
        if outside > APART * times.size:
            sentences.append(
                f"{outside} of {times.size} {arm} requests were served when the {other} was not: arms are compared "
                "only where they were served at the same time"
            )
    return tuple(sentences)


def _mismatched(arms: Mapping[Arm, _Bare]) -> tuple[str, ...]:
    """Arms whose sizes contradict the shares they were routed by were not routed at random."""
    base, cand = arms[Arm.BASELINE].shares, arms[Arm.CANDIDATE].shares
    shares = np.concatenate([base, cand])
    if shares.size == 0 or np.isnan(shares).any():
        return ()
    levels, codes = np.unique(shares, return_inverse=True)
    totals = np.bincount(codes, minlength=levels.size)
    hits = np.bincount(codes[base.size :], minlength=levels.size)
    test = split_mismatch(hits, totals, levels)
    if test.p >= MISMATCH:
        return ()
    expected = float(np.sum(totals * levels))
    sentence = (
        f"sample ratio mismatch: the candidate was assigned {expected:.0f} of {shares.size} routing keys and has "
        f"{cand.size} (p {max(test.p, 1e-300):.1e}); lines are lost, doubled or routed otherwise than recorded, so the "
        "arms are not comparable"
    )
    return (sentence,)


def _unlike(arms: Mapping[Arm, _Bare]) -> tuple[str, ...]:
    """A session in one arm and a single request in the other are not the same unit.

    Where shares are known the arms' numbers of keys say whether they are.
    """
    sides = tuple(arms.values())
    if any(side.times.size == 0 for side in sides):
        return ()
    named = [float(np.mean([response.session is not None for response in side.responses])) for side in sides]
    if abs(named[0] - named[1]) > APART:
        sentence = (
            f"{named[0]:.0%} of baseline and {named[1]:.0%} of candidate requests carry a 'session': record it in both "
            "arms alike, or in neither"
        )
        return (sentence,)
    sizes = [side.times.size / side.starts.size for side in sides]
    if max(sizes) <= LONGER * min(sizes) or not any(np.isnan(side.shares).any() for side in sides):
        return ()
    sentence = (
        f"a session has {sizes[0]:.1f} requests in the baseline and {sizes[1]:.1f} in the candidate, so it may not be "
        "the same thing in both: record 'share', or give --share"
    )
    return (sentence,)


def _switched(switched: int, keys: int) -> tuple[str, ...]:
    if switched <= SWITCHED * keys:
        return ()
    sentence = (
        f"{switched} of {keys} sessions were served by both arms: routing does not stick to 'session'; leave it out "
        "where each request is routed alone, or record the key that routing does stick to"
    )
    return (sentence,)


def _few_switched(switched: int, keys: int) -> tuple[str, ...]:
    few = 0 < switched <= SWITCHED * keys
    return (f"{switched} of {keys} sessions switched arms; each counts where it began",) if few else ()


def _unknown_shares(arms: Mapping[Arm, _Bare]) -> tuple[str, ...]:
    if not any(np.isnan(side.shares).any() for side in arms.values()):
        return ()
    sentence = (
        "the candidate's assigned share is unknown, so nothing may be decided while the log grows, and a split that is "
        "off would not be seen: record 'share', or give --share"
    )
    return (sentence,)
