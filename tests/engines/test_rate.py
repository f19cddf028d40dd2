"""How an endpoint that throttles is asked, on a clock that the test turns."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging

import pytest

from canary.engines.http.rate import RECOVERY, SLOWEST, Rate, shared_rate


class Time:
    """A clock that only moves when someone sleeps, to the earliest who wakes."""

    def __init__(self) -> None:
        self.now = 100.0
        self._alarms: list[tuple[float, asyncio.Event]] = []

    def read(self) -> float:
        """The time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Wakes when `pass_by` gets there."""
        alarm = asyncio.Event()
        self._alarms.append((self.now + seconds, alarm))
        await alarm.wait()

    async def pass_by(self, seconds: float) -> None:
        """Lets time go by, waking sleepers in order."""
        end = self.now + seconds
        while True:
            await settle()
            due = min(self._alarms, key=lambda each: each[0], default=None)
            if due is None or due[0] > end:
                break
            self._alarms.remove(due)
            self.now = due[0]
            due[1].set()
        self.now = end


async def settle() -> None:
    """Lets every task that can run do so."""
    for _ in range(50):
        await asyncio.sleep(0)


def new_rate() -> tuple[Time, Rate]:
    """A rate on a clock of its own."""
    time = Time()
    return time, Rate("http://x", time.read, time.sleep)


async def send(time: Time, rate: Rate, count: int) -> list[float]:
    """Moments at which `count` senders who ask now may send, within a minute."""
    moments: list[float] = []

    async def sender() -> None:
        await rate.take_turn()
        moments.append(time.now)

    start = time.now
    tasks = [asyncio.create_task(sender()) for _ in range(count)]
    await time.pass_by(60)
    await asyncio.gather(*tasks)
    return [round(moment - start, 3) for moment in moments]


def test_free_until_throttled() -> None:
    """Nobody waits for an endpoint that never complained, and answers do not change that."""

    async def scenario() -> None:
        time, rate = new_rate()
        rate.speed_up()

        assert await send(time, rate, 100) == [0.0] * 100

    asyncio.run(scenario())


def test_half_the_measured_rate() -> None:
    """Eight sent within a second and throttled: then four a second, evenly, from a quarter second on."""

    async def scenario() -> None:
        time, rate = new_rate()
        tasks = [asyncio.create_task(rate.take_turn()) for _ in range(8)]
        await settle()
        assert all(task.done() for task in tasks)
        rate.slow_down(time.now, 0.0)

        assert rate.per_second == 4.0
        assert await send(time, rate, 4) == [0.25, 0.5, 0.75, 1.0]

    asyncio.run(scenario())


def test_all_senders_pause() -> None:
    """What the endpoint asks one sender to wait, every sender waits, also those who queue already."""

    async def scenario() -> None:
        time, rate = new_rate()
        await rate.take_turn()
        rate.slow_down(time.now, 0.0)
        queued = [asyncio.create_task(rate.take_turn()) for _ in range(3)]
        await settle()
        rate.slow_down(time.now, 30.0)
        await time.pass_by(29.9)
        assert not any(task.done() for task in queued)

        await time.pass_by(30)
        assert [task.result() for task in queued] == pytest.approx([30.0, 34.0, 38.0])

    asyncio.run(scenario())


def test_one_burst_is_one_complaint() -> None:
    """Requests sent before the last slowing do not slow again, but may lengthen the pause."""

    async def scenario() -> None:
        time, rate = new_rate()
        for _ in range(8):
            await rate.take_turn()
        sent = time.now
        time.now += 0.1
        for pause_s in (1.0, 0.5, 5.0):
            rate.slow_down(sent, pause_s)

        assert rate.per_second == 4.0
        assert rate.wait_s() == pytest.approx(5.0)

    asyncio.run(scenario())


def test_recovery_is_additive() -> None:
    """Half as many answers as RECOVERY win back the half that was lost."""

    async def scenario() -> None:
        time, rate = new_rate()
        for _ in range(8):
            await rate.take_turn()
        rate.slow_down(time.now, 0.0)
        seen = [rate.per_second]
        for _ in range(RECOVERY // 2):
            rate.speed_up()
            seen.append(rate.per_second)

        assert seen[-1] == pytest.approx(8.0)
        assert [b - a for a, b in itertools.pairwise(seen)] == pytest.approx([8 / RECOVERY] * (RECOVERY // 2))

    asyncio.run(scenario())


def test_it_settles_below_what_is_allowed() -> None:
    """Against a limit of 5 a second, under 5 % of the requests are throttled and over 60 % of the limit is used."""

    class Alone(Time):
        async def sleep(self, seconds: float) -> None:
            self.now += seconds

    async def scenario() -> None:
        time = Alone()
        rate = Rate("http://x", time.read, time.sleep)
        allowed, last, throttled, sent = 5.0, time.now, 0, 0
        while time.now < 1100:
            await rate.take_turn()
            allowed = min(5.0, allowed + 5.0 * (time.now - last))
            last, sent = time.now, sent + 1
            if allowed >= 1:
                allowed -= 1
                rate.speed_up()
            else:
                throttled += 1
                rate.slow_down(time.now, 0.0)
            time.now += 0.01

        assert throttled / sent < 0.05
        assert sent / 1000 > 0.6 * 5

    asyncio.run(scenario())


def test_never_slower_than_slowest() -> None:
    """However often it is throttled, something is sent."""

    async def scenario() -> None:
        time, rate = new_rate()
        for _ in range(50):
            rate.slow_down(time.now, 0.0)
            time.now += 1

        assert rate.per_second == SLOWEST

    asyncio.run(scenario())


def test_it_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Being throttled is told once per slowing."""
    rate = Rate("http://x")
    with caplog.at_level(logging.WARNING):
        rate.slow_down(1e9, 2.0)

    assert caplog.messages == ["http://x throttles: at most 0.5 requests/s after 2.0 s"]


def test_shared_by_origin_and_loop() -> None:
    """Two arms at one origin share its rate while they run, and leave nothing behind."""

    async def rates() -> Rate:
        first = shared_rate("http://a")
        assert shared_rate("http://a") is first
        assert shared_rate("http://b") is not first
        return first

    first = asyncio.run(rates())

    assert asyncio.run(rates()) is not first
    gc.collect()
