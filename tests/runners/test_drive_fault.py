"""What goes wrong in either arm: what is evidence, what is asked again, and what stops a run."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from canary.errors import EngineError, UsageError
from canary.protocols import Answers, Generate, Pair, Request
from canary.records import Arm, ErrorKind, Failure, Response
from canary.release import Release
from canary.runners.drive import ArmLostError, drive
from tests.runners.test_drive import Stage, client, later, ok, pair, pipeline


class TestFault:
    """What is evidence, and what stops the run."""

    def test_unexpected_exception(self) -> None:
        """An exception of one arm is that arm's errored response, nothing more."""

        def answer(request: Request) -> Response:
            if (request.id, request.arm) == ("1", Arm.CANDIDATE):
                raise KeyError("choices")
            return ok(request)

        stage = Stage(answer)
        stage.drive(3)

        assert stage.error(1, Arm.CANDIDATE) == Failure(kind=ErrorKind.SERVER, message="KeyError: 'choices'")
        assert [stage.error(number, Arm.BASELINE) for number in range(3)] == [None] * 3
        assert len(stage.written) == 3

    def test_engine_error_stops(self) -> None:
        """The engine's own error ends the run as itself, and both arms are closed."""

        async def answer(request: Request) -> Response:
            if request.id == "3":
                raise EngineError("gone")
            return await later(request)

        stage = Stage(answer)

        with pytest.raises(EngineError, match=r"^gone$"):
            stage.drive(1000, concurrency=2)

        assert len(stage.written) <= 4
        assert sorted(stage.closed) == sorted(Arm)
        assert stage.in_flight.total() == 0

    def test_our_fault_stops(self) -> None:
        """A client error in the run stops it."""

        def answer(request: Request) -> Response:
            error = client() if request.id == "2" and request.arm is Arm.CANDIDATE else None
            return Response(id=request.id, arm=request.arm, output="", error=error)

        with pytest.raises(EngineError, match=r"^candidate 'v2' refused request '2': no such model$"):
            Stage(answer).drive(5)

    def test_recorded_client_errors_are_evidence(self) -> None:
        """Recorded outputs were not asked by us: their client errors are data."""
        stage = Stage(lambda request: Response(id=request.id, arm=request.arm, output="", error=client()))
        replay = {"engine": "replay", "responses": "x"}
        stage.drive(2, baseline=replay | {"name": "v1"}, candidate=replay | {"name": "v2"})

        assert stage.error(1, Arm.BASELINE) == client()

    def test_pairs_that_cannot_be_made(self) -> None:
        """An error of the pairs themselves ends the run as itself."""

        def source() -> Iterator[Pair]:
            yield pair(0)
            raise UsageError("no such variable")

        stage = Stage()

        with pytest.raises(UsageError, match=r"^no such variable$"):
            drive(stage.open, pipeline(), source(), stage.write)

        assert sorted(stage.closed) == sorted(Arm)

    def test_write_that_fails(self) -> None:
        """A journal that cannot be written ends the run as itself."""
        stage = Stage(later)

        def write(asked: Pair, answers: Answers) -> None:
            raise OSError("disk full")

        with pytest.raises(OSError, match=r"^disk full$"):
            drive(stage.open, pipeline(), map(pair, range(100)), write)

        assert sorted(stage.closed) == sorted(Arm)

    def test_interrupt(self) -> None:
        """Ctrl-C ends the run between two writes, and closes both arms."""
        stage = Stage(later)
        known = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

        def write(asked: Pair, answers: Answers) -> None:
            if asked.key[0] == "10":
                os.kill(os.getpid(), signal.SIGINT)
            stage.write(asked, answers)

        try:
            with pytest.raises(KeyboardInterrupt):
                drive(stage.open, pipeline(concurrency=1), map(pair, range(1000)), write)
        finally:
            signal.signal(signal.SIGINT, known)

        assert [number for number, _ in stage.written] == [str(number) for number in range(11)]
        assert sorted(stage.closed) == sorted(Arm)


class TestOpening:
    """Bringing both arms up."""

    def test_together(self) -> None:
        """Neither arm waits for the other to come up."""
        meeting = asyncio.Barrier(2)

        @asynccontextmanager
        async def opened(releases: Mapping[Arm, Release]) -> AsyncIterator[Generate]:
            await asyncio.wait_for(meeting.wait(), 60)
            yield stage.generate

        stage = Stage()
        drive(opened, pipeline(), [pair(0)], stage.write)

        assert len(stage.written) == 1

    def test_one_engine_for_both(self) -> None:
        """It is brought up once, answers both arms' requests, and is closed once."""
        stage = Stage()
        release = {"engine": "vllm", "model": "m"}
        arms = {arm.value: release | {"name": "v", "prompt": f"{arm} {{{{prompt}}}}"} for arm in Arm}
        entered: list[tuple[Arm, ...]] = []

        @asynccontextmanager
        async def opened(releases: Mapping[Arm, Release]) -> AsyncIterator[Generate]:
            entered.append(tuple(releases))
            async with stage.open(releases) as generate:
                yield generate

        drive(opened, pipeline(**arms), map(pair, range(20)), stage.write)

        assert len(entered) == 1
        assert sorted(stage.closed) == sorted(stage.opened) == sorted(Arm)
        assert sorted(stage.sent) == sorted((str(n), arm) for n in range(20) for arm in Arm)

    def test_one_engine_for_an_arm_that_is_alone(self) -> None:
        """Where the candidate is asked alone the engine has nothing to share."""
        stage = Stage()
        release = {"engine": "vllm", "model": "m", "name": "v"}
        lone = replace(pair(0), baseline=None)

        drive(stage.open, pipeline(baseline=release, candidate=release | {"prompt": "x"}), [lone], stage.write)

        assert stage.opened == [Arm.CANDIDATE]

    def test_one_that_fails(self) -> None:
        """An arm that cannot come up is told as it is, and the other one is closed."""
        stage = Stage()

        @asynccontextmanager
        async def opened(releases: Mapping[Arm, Release]) -> AsyncIterator[Generate]:
            async with stage.open(releases) as generate:
                if Arm.CANDIDATE in releases:
                    await asyncio.sleep(0.01)
                    raise EngineError(f"cannot load '{releases[Arm.CANDIDATE].name}'")
                yield generate

        with pytest.raises(EngineError, match=r"^cannot load 'v2'$"):
            drive(opened, pipeline(), [pair(0)], stage.write)

        assert (sorted(stage.closed), stage.sent) == (sorted(Arm), [])


class TestLostArm:
    """An arm's process may die under its requests."""

    def test_pair_is_asked_again_whole(self) -> None:
        """Both arms of the pair are asked again, and it is written once."""
        deaths = iter([True])

        def answer(request: Request) -> Response:
            if request.id == "1" and request.arm is Arm.CANDIDATE and next(deaths, False):
                raise ArmLostError("killed")
            return ok(request)

        stage = Stage(answer)
        stage.drive(3)

        assert Counter(stage.sent) == {(str(n), arm): 2 if n == 1 else 1 for n in range(3) for arm in Arm}
        assert (len(stage.written), stage.error(1, Arm.CANDIDATE)) == (3, None)

    def test_pair_that_fails_twice(self) -> None:
        """After the second death the answer is an error, the other arm's is kept."""

        def answer(request: Request) -> Response:
            if request.id == "1" and request.arm is Arm.CANDIDATE:
                raise ArmLostError("the arm's process died")
            return ok(request)

        stage = Stage(answer)
        stage.drive(3)

        assert stage.error(1, Arm.CANDIDATE) == Failure(kind=ErrorKind.SERVER, message="the arm's process died")
        assert stage.error(1, Arm.BASELINE) is None
        assert len(stage.written) == 3

    def test_each_arm_may_be_lost_once(self) -> None:
        """Two arms that die of something else, one after the other, are no arm that died twice of this pair."""
        deaths = {("1", Arm.BASELINE): [1], ("1", Arm.CANDIDATE): [2]}
        asked: Counter[tuple[str, Arm]] = Counter()

        def answer(request: Request) -> Response:
            key = (request.id, request.arm)
            asked[key] += 1
            if asked[key] in deaths.get(key, ()):
                raise ArmLostError("killed")
            return ok(request)

        stage = Stage(answer)
        stage.drive(3)

        assert asked == {(str(n), arm): 3 if n == 1 else 1 for n in range(3) for arm in Arm}
        assert (len(stage.written), stage.error(1, Arm.BASELINE), stage.error(1, Arm.CANDIDATE)) == (3, None, None)

    def test_one_deadly_prompt_costs_no_other(self) -> None:
        """A prompt that kills its arm each time takes only itself down."""
        deaths: list[asyncio.Event] = []

        async def answer(request: Request) -> Response:
            if request.arm is Arm.BASELINE:
                return ok(request)
            if not deaths:
                deaths.append(asyncio.Event())
            life = deaths[-1]
            if request.id == "5":
                await asyncio.sleep(0.005)
                life.set()
                deaths.append(asyncio.Event())
            waiting = asyncio.create_task(life.wait())
            done, _ = await asyncio.wait({waiting}, timeout=0.01)
            waiting.cancel()
            if done:
                raise ArmLostError("killed")
            return ok(request)

        stage = Stage(answer)
        stage.drive(8, concurrency=8)
        lost = [number for number in range(8) if stage.error(number, Arm.CANDIDATE)]

        assert lost == [5]
