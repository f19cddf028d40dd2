"""Both arms' servers are asked how they are, together and beside the work."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from canary.engines.vllm import SCRAPE_S
from canary.protocols import Generate, Pair, Request
from canary.records import Arm, Observation, Response
from canary.release import Release
from canary.runners import fleet, sample
from canary.runners.drive import drive
from canary.runners.sample import PATIENCE_S, WAY_S
from tests.runners.test_drive import Stage, later, ok, pair, pipeline


@dataclass
class Watched:
    """Two arms of two replicas each that can be observed; `trouble` is how the candidate fails at that."""

    trouble: Exception | None = None
    starts: Sequence[float | None] = (None,)
    """What the first replica says of its start, moment by moment; the last from there on."""
    noted: list[list[Observation]] = field(default_factory=list)
    count: int = 0

    @asynccontextmanager
    async def open(self, releases: Mapping[Arm, Release]) -> AsyncIterator[Generate]:
        """One engine."""
        yield Server(self, tuple(releases))

    def note(self, seen: Sequence[Observation]) -> None:
        """What was seen."""
        self.noted.append(list(seen))

    def pairs(self, moments: int) -> Iterator[Pair]:
        """Cases until so many moments were noted, however long that takes."""
        return itertools.takewhile(lambda _: len(self.noted) < moments, map(pair, itertools.count()))


@dataclass
class Server:
    """One engine's servers."""

    watched: Watched
    arms: tuple[Arm, ...]
    asked: int = 0

    async def __call__(self, request: Request) -> Response:
        """An answer after a while."""
        return await later(request, 0.01)

    async def observe(self) -> Mapping[int, Mapping[str, float]]:
        """How they are; hangs for ever where the trouble is a TimeoutError."""
        self.watched.count += 1
        if Arm.CANDIDATE in self.arms and self.watched.trouble:
            await asyncio.sleep(60 if isinstance(self.watched.trouble, TimeoutError) else 0)
            raise self.watched.trouble
        self.asked += 1
        started = self.watched.starts[min(self.asked, len(self.watched.starts)) - 1]
        return {0: {"cpu": 0.5} | ({} if started is None else {"started_s": started}), 1: {}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "EVERY_S", 0.01)
    monkeypatch.setattr(sample, "PATIENCE_S", 60.0)  # who can say anything says it, however busy the machine


def test_who_waits_for_a_server_is_waited_for_longer() -> None:
    """Else nothing is known of a machine whose server is too busy to say anything: just then it matters."""
    assert SCRAPE_S <= PATIENCE_S < fleet.OBSERVED_S < PATIENCE_S + 2 * WAY_S


def test_both_arms_at_the_same_moments() -> None:
    """From the beginning to the end, every replica with the same time."""
    watched, written = Watched(), Stage()
    drive(watched.open, pipeline(concurrency=1), watched.pairs(moments=5), written.write, watched.note)

    assert [number for number, _ in written.written] == [str(n) for n in range(len(written.written))]
    assert len(watched.noted) >= 5
    for moment in watched.noted:
        assert [(one.arm, one.replica, dict(one.values)) for one in moment] == [
            (arm, replica, values) for arm in Arm for replica, values in ((0, {"cpu": 0.5}), (1, {}))
        ]
        assert len({one.at for one in moment}) == 1


@pytest.mark.parametrize("trouble", [OSError("gone"), RuntimeError("broken"), TimeoutError()])
def test_a_server_that_does_not_say(monkeypatch: pytest.MonkeyPatch, trouble: Exception) -> None:
    """Every pair is answered, and the candidate is noted with nothing."""
    monkeypatch.setattr(sample, "PATIENCE_S", 0.02)
    monkeypatch.setattr(sample, "WAY_S", 0.01)
    watched, written = Watched(trouble), Stage()
    drive(watched.open, pipeline(concurrency=1), map(pair, range(20)), written.write, watched.note)

    assert len(written.written) == 20
    assert watched.noted
    assert all(dict(one.values) == {} for moment in watched.noted for one in moment if one.arm is Arm.CANDIDATE)


def test_a_start_is_told_once_however_often_it_is_said() -> None:
    """Of each server's start the first that is heard is kept, of the next one too, and what is lost is made up for."""
    watched, written = Watched(starts=[None, 9.5, 9.5, 4.5]), Stage()
    drive(watched.open, pipeline(concurrency=1), watched.pairs(moments=5), written.write, watched.note)

    assert len(watched.noted) >= 5
    for arm in Arm:
        told = [one.values.get("started_s") for moment in watched.noted for one in moment if one.arm is arm][::2]
        assert told == [None, 9.5, None, 4.5] + [None] * (len(told) - 4)


def test_one_engine_for_both_arms() -> None:
    """It is asked once at each moment, and what it says is nobody's own."""
    watched, written = Watched(), Stage()
    release = {"engine": "vllm", "model": "m", "name": "v"}
    asked = pipeline(concurrency=1, baseline=release, candidate=release | {"prompt": "x"})
    drive(watched.open, asked, watched.pairs(moments=5), written.write, watched.note)

    assert len(watched.noted) >= 5
    assert {tuple((one.arm, one.replica) for one in moment) for moment in watched.noted} == {((None, 0), (None, 1))}


def test_engines_that_cannot_be_observed() -> None:
    """Nothing is asked of them and nothing noted."""
    watched, written = Watched(), Stage(ok)
    drive(written.open, pipeline(), map(pair, range(5)), written.write, watched.note)

    assert (len(written.written), watched.noted) == (5, [])


def test_what_cannot_be_kept_stops_the_run() -> None:
    """A full disk is no trouble of a server's."""

    def full(seen: Sequence[Observation]) -> None:
        raise OSError("no space left")

    watched, written = Watched(), Stage()
    with pytest.raises(OSError, match="no space left"):
        drive(watched.open, pipeline(), map(pair, range(5)), written.write, full)
