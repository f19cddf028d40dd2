"""How both arms' servers are, at the same moments, beside the work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from canary.protocols import Generate, Note, Observable
from canary.records import Arm, Observation

EVERY_S = 1.0
PATIENCE_S = 2.0
"""How long a server may take to say how it is."""
WAY_S = 1.0
"""What is added wherever somebody is waited for who waits: he says what he knows without the server."""


@asynccontextmanager
async def sampled(generates: Mapping[Arm, Generate], note: Note) -> AsyncIterator[None]:
    """Asks at the beginning, about once a second, and at the end; not at all where no arm can be observed.

    A server that does not answer is noted with nothing, and stops nobody.
    """
    observable = _observable(generates)
    if not observable:
        yield
        return
    note = _telling_starts_once(note)
    watching = asyncio.create_task(_watch(observable, note))
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    if seen := await _moment(observable):
        note(seen)


def _observable(generates: Mapping[Arm, Generate]) -> dict[Arm | None, Observable]:
    """Who can be observed; an engine that serves both arms is nobody's own (None)."""
    found: dict[Arm | None, Observable] = {}
    for arm in Arm:
        if isinstance(one := generates.get(arm), Observable):
            found[arm] = one
    ones = list(found.values())
    return {None: ones[0]} if len(ones) == len(Arm) and ones[0] is ones[1] else found


def _telling_starts_once(note: Note) -> Note:
    """A server says `started_s` each time, as an answer may be lost on its way; it is kept where it is first heard."""
    told: dict[tuple[Arm | None, int], float] = {}

    def once(one: Observation) -> Observation:
        started, server = one.values.get("started_s"), (one.arm, one.replica)
        if started is None:
            return one
        if told.get(server) != started:
            told[server] = started
            return one
        return replace(one, values={name: value for name, value in one.values.items() if name != "started_s"})

    def noted(seen: Sequence[Observation]) -> None:
        note([once(one) for one in seen])

    return noted


async def _watch(observable: Mapping[Arm | None, Observable], note: Note) -> None:
    while True:
        if seen := await _moment(observable):
            note(seen)
        await asyncio.sleep(EVERY_S)


async def _moment(observable: Mapping[Arm | None, Observable]) -> list[Observation]:
    at = time.time()
    said = await asyncio.gather(*(_observed(generate) for generate in observable.values()))
    return [
        Observation(arm=arm, replica=replica, at=at, values=values)
        for arm, replicas in zip(observable, said, strict=True)
        for replica, values in sorted(replicas.items())
    ]


async def _observed(generate: Observable) -> Mapping[int, Mapping[str, float]]:
    try:
        return await asyncio.wait_for(generate.observe(), PATIENCE_S + 2 * WAY_S)
    except Exception:  # noqa: BLE001 - whatever it is, it is not worth a run
        return {0: {}}
