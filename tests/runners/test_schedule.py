"""An open loop: requests are sent when they are due, and nothing hides that one was late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

from canary.protocols import Pair, Request
from canary.records import Arm, Response
from canary.runners.drive import ArmLostError, drive
from tests.runners.test_drive import Answer, Stage, pair, pipeline

CLOCKS_S = 0.01
"""Two readings of the clock that begins a part, and what keeps the wall clock in step meanwhile."""


async def sent(request: Request, seconds: float = 0.0) -> Response:
    """A success that says when it was sent, after a while."""
    at = time.time()
    await asyncio.sleep(seconds)
    return Response(id=request.id, arm=request.arm, output="yes", started_at=at)


def offered(gaps: list[float | None], answer: Answer = sent, **fields: int) -> list[tuple[Response, Response]]:
    """Both answers to each pair, in the order that the pairs were in."""
    stage = Stage(answer)
    drive(stage.open, pipeline(**fields), [replace(pair(k), gap_s=gap) for k, gap in enumerate(gaps)], stage.write)
    found = sorted(stage.written, key=lambda row: int(row[0]))
    return [(b, c) for _, (b, c) in found if b is not None and c is not None]


def due(answers: list[tuple[Response, Response]]) -> list[float]:
    """When each pair was due, after the first one."""
    times = [answer.scheduled_at or 0.0 for answer, _ in answers]
    return [round(at - times[0], 6) for at in times]


def late(answer: Response) -> float:
    """Seconds after it was due."""
    return (answer.started_at or 0.0) - (answer.scheduled_at or 0.0)


def test_arrivals_follow_the_schedule() -> None:
    """Both arms are due at the same time, gaps are kept, and nothing is sent before it is due."""
    gaps = [0.01, 0.03, 0.0, 0.05, 0.02]
    answers = offered(list(gaps), concurrency=8)

    assert due(answers) == [0.0, 0.03, 0.03, 0.08, 0.1]
    assert all(b.scheduled_at == c.scheduled_at for b, c in answers)
    assert all(late(answer) > -CLOCKS_S for both in answers for answer in both)


def test_arrivals_do_not_wait_for_answers() -> None:
    """Each pair is sent although none before it is answered: the first one is answered when the last has been sent."""
    everyone = asyncio.Barrier(2 * 6)

    async def meet(request: Request) -> Response:
        await asyncio.wait_for(everyone.wait(), 60)
        return await sent(request)

    assert len(offered([0.005] * 6, meet, concurrency=6)) == 6


def test_back_pressure_is_recorded() -> None:
    """With one place, arrivals wait for the answer before them, and stay due when they were."""
    answers = offered([0.0, 0.001, 0.001], lambda request: sent(request, 0.2), concurrency=1)

    assert due(answers) == [0.0, 0.001, 0.002]
    assert [late(answer) > 0.19 * place for place, both in enumerate(answers) for answer in both] == [True] * 6
    assert late(answers[2][0]) > late(answers[1][0]) > 0.19


def test_the_clock_stands_still_in_a_pause() -> None:
    """What follows a pause is due its gap after the pause, however long that was."""
    stage = Stage(sent)
    resumed: list[float] = []

    def pairs() -> Iterator[Pair | None]:
        yield replace(pair(0), gap_s=0.01)
        yield None
        time.sleep(0.2)
        resumed.append(time.time())
        yield replace(pair(1), gap_s=0.03)

    drive(stage.open, pipeline(concurrency=2), pairs(), stage.write)
    (_, (first, _)), (_, (second, _)) = stage.written

    assert first is not None
    assert second is not None
    assert (second.scheduled_at or 0.0) >= resumed[0] + 0.03 - CLOCKS_S
    assert late(second) > -CLOCKS_S


def test_warm_up_keeps_no_schedule() -> None:
    """Warm-up pairs are sent at once, and are due again later like any other."""
    stage = Stage(sent)
    drive(stage.open, pipeline(warmup=2), [replace(pair(k), gap_s=0.01) for k in range(3)], stage.write)
    answers = [answer for _, both in sorted(stage.written) for answer in both if answer is not None]

    assert len(stage.sent) == 2 * (2 + 3)
    assert all(late(answer) > -CLOCKS_S for answer in answers)
    assert answers[0].scheduled_at != answers[2].scheduled_at


def test_a_closed_loop_is_due_at_no_time() -> None:
    """Without a gap, answers are as they ever were."""
    answers = offered([None] * 3)

    assert [answer.scheduled_at for both in answers for answer in both] == [None] * 6


def test_an_arm_that_dies_stays_due_when_it_was() -> None:
    """A pair that is asked again, whole, is late by what that took; of one that fails twice nobody knows."""
    deaths = iter([True])

    async def dying(request: Request) -> Response:
        if request.id == "1" and request.arm is Arm.CANDIDATE and next(deaths, False):
            await asyncio.sleep(0.1)
            raise ArmLostError("killed")
        if request.id == "2" and request.arm is Arm.CANDIDATE:
            raise ArmLostError("killed")
        return await sent(request)

    answers = offered([0.0, 0.01, 0.01], dying)

    assert late(answers[1][0]) > 0.09
    assert late(answers[1][1]) > 0.09
    assert answers[2][1].scheduled_at is not None
    assert answers[2][1].started_at is None


def test_a_missing_answer_stays_missing() -> None:
    """None, "nothing recorded", is no answer that was due."""
    stage = Stage(lambda request: None if request.arm is Arm.CANDIDATE else sent(request))
    drive(stage.open, pipeline(), [replace(pair(0), gap_s=0.0)], stage.write)

    assert [[answer is None for answer in answers] for _, answers in stage.written] == [[False, True]]
