"""What every runner promises: order, window and warm-up."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from canary.errors import EngineError
from canary.pipeline import Pipeline
from canary.protocols import Answers, Generate, Pair, Request
from canary.records import Arm, ErrorKind, Failure, Response
from canary.release import Release
from canary.runners.drive import drive

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
            await asyncio.wait_for(meeting.wait(), 60)
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
