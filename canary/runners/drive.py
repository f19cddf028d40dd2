"""Both arms over the pairs, side by side: what every runner shares.

A fixed number of workers take pairs from one iterator, so the window is
bounded and the iterator is never read ahead. In an open loop a worker waits
until its pair is due; while all of them are busy, arrivals wait.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

from canary.errors import CanaryError, EngineError
from canary.pipeline import Pipeline
from canary.protocols import Answers, Generate, Note, Pair, Request, Write, unnoted
from canary.records import Arm, ErrorKind, Failure, Response
from canary.release import LiveRelease, Release
from canary.runners.sample import sampled
from canary.runners.schedule import Schedule, stamped

Open = Callable[[Mapping[Arm, Release]], AbstractAsyncContextManager[Generate]]
"""Brings up one engine for the arms given: here, or in processes that hold it."""
Guard = AbstractAsyncContextManager[None]
"""May end what is done inside of it."""


class ArmLostError(Exception):
    """The process of an arm died under a request; a new one is in its place."""


def drive(
    open_arms: Open,
    pipeline: Pipeline,
    pairs: Iterable[Pair | None],
    write: Write,
    note: Note = unnoted,
    guard: Guard | None = None,
) -> None:
    """Answers every pair, inside the guard; the contract is `protocols.Runner`."""
    source = iter(pairs)
    ahead = list(itertools.islice(source, max(1, pipeline.warmup)))
    warmup = [pair for pair in ahead if pair is not None]
    if not warmup:
        return
    try:
        asyncio.run(_guarded(guard, _drive(open_arms, pipeline, warmup, itertools.chain(ahead, source), write, note)))
    except ExceptionGroup as group:
        raise _first(group) from None


async def ask(generate: Generate, request: Request) -> Response | None:
    """One answer; what the engine did not foresee is an errored response."""
    try:
        return await generate(request)
    except (CanaryError, ArmLostError):
        raise
    except Exception as error:  # noqa: BLE001 - an engine's own fault is evidence, whatever it is
        return _errored(request, f"{type(error).__name__}: {error}")


async def _guarded(guard: Guard | None, work: Coroutine[Any, Any, None]) -> None:
    async with guard or nullcontext():
        await work


async def _drive(
    open_arms: Open, pipeline: Pipeline, warmup: list[Pair], source: Iterator[Pair | None], write: Write, note: Note
) -> None:
    asked = {Arm.BASELINE: warmup[0].baseline, Arm.CANDIDATE: warmup[0].candidate}
    releases = {arm: release for arm, release in pipeline.releases.items() if asked[arm] is not None}
    engines = [releases] if pipeline.shares_engine else [{arm: release} for arm, release in releases.items()]
    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            opening = [group.create_task(stack.enter_async_context(open_arms(engine))) for engine in engines]
        opened = zip(engines, opening, strict=True)
        generates = {arm: task.result() for engine, task in opened for arm in engine}
        arms = _Arms(releases, generates, asyncio.Lock())
        for pair in itertools.islice(itertools.cycle(warmup), pipeline.warmup):
            await arms.answer(pair)
        async with sampled(arms.generates, note):
            for part in _parts(source):
                schedule = Schedule()
                async with asyncio.TaskGroup() as group:
                    for _ in range(pipeline.concurrency):
                        group.create_task(_work(arms, part, schedule, write))


def _parts(source: Iterator[Pair | None]) -> Iterator[Iterator[Pair]]:
    """The pairs between pauses; the next part begins when the one before it is written."""
    for first in source:
        yield _until_pause(itertools.chain([first], source))


def _until_pause(source: Iterator[Pair | None]) -> Iterator[Pair]:
    """One part of the pairs; shared by workers, so none of them draws what follows the pause."""
    for pair in source:
        if pair is None:
            return
        yield pair


async def _work(arms: _Arms, source: Iterator[Pair], schedule: Schedule, write: Write) -> None:
    for pair in source:
        due = await schedule.wait(pair)
        write(pair, stamped(await arms.answer(pair), due))


@dataclass(frozen=True, slots=True)
class _Arms:
    """Both arms, open."""

    releases: Mapping[Arm, Release]
    generates: Mapping[Arm, Generate]
    alone: asyncio.Lock
    """Held by a pair that is asked again: it comes first, and kills no other."""

    async def answer(self, pair: Pair) -> Answers:
        """Both answers; a pair whose arm died is asked again, whole, until one arm has died of it twice."""
        async with self.alone:
            pass
        answers = await self._both(pair)
        if not _lost(answers):
            return _recorded(pair, answers)
        lost: set[Arm] = set()
        async with self.alone:
            while (died := _lost(answers)) and not died & lost:
                lost |= died
                answers = await self._both(pair)
        return _recorded(pair, answers)

    async def _both(self, pair: Pair) -> tuple[_Answer, _Answer]:
        """Both requests in flight together, the arm named `first` sent first."""
        requests = {Arm.BASELINE: pair.baseline, Arm.CANDIDATE: pair.candidate}
        async with asyncio.TaskGroup() as group:
            asked = {
                arm: group.create_task(self._ask(arm, requests[arm]))
                for arm in sorted(requests, key=lambda arm: arm is not pair.first)
            }
        return asked[Arm.BASELINE].result(), asked[Arm.CANDIDATE].result()

    async def _ask(self, arm: Arm, request: Request | None) -> _Answer:
        if request is None:
            return None
        try:
            response = await ask(self.generates[arm], request)
        except ArmLostError as lost:
            return lost
        release = self.releases[arm]
        error = response and response.error
        if error and error.kind is ErrorKind.CLIENT and isinstance(release, LiveRelease):
            raise EngineError(f"{arm} '{release.name}' refused request '{request.id}': {error.message}")
        return response


_Answer = Response | ArmLostError | None


def _lost(answers: tuple[_Answer, _Answer]) -> set[Arm]:
    return {arm for arm, answer in zip(Arm, answers, strict=True) if isinstance(answer, ArmLostError)}


def _recorded(pair: Pair, answers: tuple[_Answer, _Answer]) -> Answers:
    baseline, candidate = answers
    return _response(pair.baseline, baseline), _response(pair.candidate, candidate)


def _response(request: Request | None, answer: _Answer) -> Response | None:
    if isinstance(answer, ArmLostError):
        return None if request is None else _errored(request, str(answer))
    return answer


def _errored(request: Request, message: str) -> Response:
    failure = Failure(kind=ErrorKind.SERVER, message=message)
    return Response(id=request.id, arm=request.arm, repeat=request.repeat, output="", error=failure)


def _first(error: Exception) -> Exception:
    """The error that stopped the others."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
