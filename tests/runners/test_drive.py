"""What every runner promises: order, window, warm-up, and what stops a run."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from canary.errors import EngineError, UsageError
from canary.pipeline import Pipeline
from canary.protocols import Answers, Generate, Pair, Request
from canary.records import Arm, ErrorKind, Failure, Response
from canary.release import Release
from canary.runners.drive import ArmLostError, drive

Answer = Callable[[Request], Any]


def pipeline(**fields: Any) -> Pipeline:
    """Two live releases that nobody opens but the test."""
    release = {"engine": "openai", "model": "m"}
    written = {"suite": "s", "baseline": release | {"name": "v1"}, "candidate": release | {"name": "v2"}, "warmup": 0}
    return Pipeline.model_validate(written | fields)


def pair(number: int, first: Arm = Arm.BASELINE) -> Pair:
    """One case, by number."""
    requests = {arm: Request(id=str(number), arm=arm, repeat=0, messages=None, text="", seed=number) for arm in Arm}
    return Pair(baseline=requests[Arm.BASELINE], candidate=requests[Arm.CANDIDATE], first=first)


def ok(request: Request, output: str = "yes") -> Response:
    """A success."""
    return Response(id=request.id, arm=request.arm, output=output)


@dataclass
class Stage:
    """Two arms that answer by a function, and everything that happened to them."""

    answer: Answer = ok
    sent: list[tuple[str, Arm]] = field(default_factory=list)
    written: list[tuple[str, Answers]] = field(default_factory=list)
    opened: list[Arm] = field(default_factory=list)
    closed: list[Arm] = field(default_factory=list)
    in_flight: Counter[Arm] = field(default_factory=Counter)
    most: Counter[Arm] = field(default_factory=Counter)

    @asynccontextmanager
    async def open(self, releases: Mapping[Arm, Release]) -> AsyncIterator[Generate]:
        """One engine."""
        self.opened.extend(releases)
        try:
            yield self.generate
        finally:
            self.closed.extend(releases)

    async def generate(self, request: Request) -> Response | None:
        """Keep count, and answer."""
        arm = request.arm
        self.sent.append((request.id, arm))
        self.in_flight[arm] += 1
        self.most[arm] = max(self.most[arm], self.in_flight[arm])
        try:
            answer = self.answer(request)
            response: Response | None = await answer if asyncio.iscoroutine(answer) else answer
            return response
        finally:
            self.in_flight[arm] -= 1

    def write(self, asked: Pair, answers: Answers) -> None:
        """What was answered."""
        self.written.append((asked.key[0], answers))

    def drive(self, count: int, **fields: Any) -> None:
        """Answer so many pairs."""
        drive(self.open, pipeline(**fields), map(pair, range(count)), self.write)

    def error(self, number: int, arm: Arm) -> Failure | None:
        """The error written for one arm of one pair."""
        answers = dict(self.written)[str(number)]
        answer = answers[list(Arm).index(arm)]
        return answer.error if answer else None


async def later(request: Request, seconds: float = 0.002) -> Response:
    """A success after a while."""
    await asyncio.sleep(seconds)
    return ok(request)


class TestOrder:
    """Who is asked what, and when."""

    def test_every_pair_once(self) -> None:
        """Each pair is written once, baseline's answer first."""
        stage = Stage(later)
        stage.drive(50)

        assert sorted(int(number) for number, _ in stage.written) == list(range(50))
        assert all(a and b and (a.arm, b.arm) == tuple(Arm) for _, (a, b) in stage.written)
        assert max(Counter(stage.sent).values()) == 1

    def test_completion_order(self) -> None:
        """Pairs are written as they end, not as they began."""
        stage = Stage(lambda request: later(request, 0.05 if request.id == "0" else 0.0))
        stage.drive(3)

        assert [number for number, _ in stage.written] == ["1", "2", "0"]

    def test_nothing_follows_a_pause_before_all_is_written(self) -> None:
        """What comes after None is not even drawn while an answer is on its way; other pairs are not held up."""
        stage = Stage(lambda request: later(request, 0.02 if request.id == "1" else 0.0))
        written_at: list[int] = []

        def pairs() -> Iterator[Pair | None]:
            for part in (range(4), range(4, 5), range(5, 12)):
                yield from map(pair, part)
                yield None
                written_at.append(len(stage.written))

        drive(stage.open, pipeline(concurrency=3), pairs(), stage.write)

        assert written_at == [4, 5, 12]
        assert stage.most[Arm.BASELINE] == 3

    def test_pauses_alone_open_nothing(self) -> None:
        """A run that is certain already asks nobody."""
        stage = Stage(later)
        drive(stage.open, pipeline(warmup=2), iter([None, None]), stage.write)

        assert (stage.opened, stage.written) == ([], [])

    @pytest.mark.parametrize("first", Arm)
    def test_first_is_sent_first(self, first: Arm) -> None:
        """In every pair the arm named `first` is asked before the other."""
        stage = Stage(later)
        drive(stage.open, pipeline(concurrency=3), (pair(number, first) for number in range(9)), stage.write)
        order = [[arm for asked, arm in stage.sent if asked == str(number)] for number in range(9)]

        assert order == [[first, *(arm for arm in Arm if arm is not first)]] * 9

    def test_both_in_flight_together(self) -> None:
        """Neither arm waits for the other's answer."""
        meeting = asyncio.Barrier(2)

        async def meet(request: Request) -> Response:
            await asyncio.wait_for(meeting.wait(), 5)
            return ok(request)

        stage = Stage(meet)
        stage.drive(4, concurrency=1)

        assert [stage.error(number, arm) for number in range(4) for arm in Arm] == [None] * 8

    def test_candidate_alone(self) -> None:
        """Where no baseline is asked, its arm is not brought up and its answer is None."""
        stage = Stage()
        alone = [replace(pair(number), baseline=None) for number in range(3)]
        drive(stage.open, pipeline(warmup=1), alone, stage.write)

        assert (stage.opened, {arm for _, arm in stage.sent}) == ([Arm.CANDIDATE], {Arm.CANDIDATE})
        assert [[answer is None for answer in answers] for _, answers in stage.written] == [[True, False]] * 3

    def test_missing_answers(self) -> None:
        """None, "nothing recorded", is passed on."""
        stage = Stage(lambda request: None if request.arm is Arm.CANDIDATE else ok(request))
        stage.drive(1)

        assert [[answer is None for answer in answers] for _, answers in stage.written] == [[False, True]]


class TestWindow:
    """How much is in flight, and how much is read ahead."""

    @pytest.mark.parametrize("concurrency", [1, 5])
    def test_bounded(self, concurrency: int) -> None:
        """Each arm has exactly the allowed number of requests in flight."""
        stage = Stage(later)
        stage.drive(40, concurrency=concurrency)

        assert stage.most == dict.fromkeys(Arm, concurrency)

    def test_pairs_are_read_as_they_are_asked(self) -> None:
        """No more pairs are taken than are in flight or written."""
        taken, ahead = itertools.count(), []
        stage = Stage(later)

        def source() -> Iterator[Pair]:
            for number in range(40):
                next(taken)
                ahead.append(number - len(stage.written))
                yield pair(number)

        drive(stage.open, pipeline(concurrency=4, warmup=2), source(), stage.write)

        assert max(ahead) <= 4

    def test_no_pairs(self) -> None:
        """With nothing to ask no arm is brought up."""
        stage = Stage()
        stage.drive(0)

        assert stage.opened == []


class TestWarmup:
    """What is asked before, and left out."""

    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_left_out(self, count: int) -> None:
        """Each arm is warmed up `warmup` times, and each pair still written once."""
        stage = Stage()
        stage.drive(count, warmup=3)
        asked = Counter(arm for _, arm in stage.sent)

        assert asked == dict.fromkeys(Arm, count + 3)
        assert sorted(number for number, _ in stage.written) == [str(number) for number in range(count)]

    def test_server_faults_are_warmed_over(self) -> None:
        """A fault of the server in the warm-up stops nothing."""
        faults = iter([True, True])

        def answer(request: Request) -> Response:
            if next(faults, False):
                raise RuntimeError("starting")
            return ok(request)

        stage = Stage(answer)
        stage.drive(2, warmup=1)

        assert [stage.error(number, arm) for number in range(2) for arm in Arm] == [None] * 4

    def test_our_fault_stops(self) -> None:
        """A client error in the warm-up stops the run before anything is written."""
        stage = Stage(lambda request: Response(id=request.id, arm=request.arm, output="", error=client()))

        with pytest.raises(EngineError, match=r"^baseline 'v1' refused request '0': no such model$"):
            stage.drive(5, warmup=1)

        assert (stage.written, sorted(stage.closed)) == ([], sorted(Arm))


def client() -> Failure:
    """We are at fault."""
    return Failure(kind=ErrorKind.CLIENT, message="no such model")


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
            await asyncio.wait_for(meeting.wait(), 5)
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
