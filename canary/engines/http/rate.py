"""How fast one endpoint is asked: freely, until it says that this is too fast.

Then additive increase, multiplicative decrease, as TCP does it. The quantity is
requests per second and not requests in flight, since that is what providers
meter, and since a window cannot shrink below one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

_log = logging.getLogger(__name__)

SLOWEST = 0.1
"""Requests per second that no throttling goes below."""
RECOVERY = 64
"""A half lost is won back in half as many answers."""
WINDOW_S = 10.0
"""Past over which the rate of sending is measured."""


class Rate:
    """The turn of every sender to one endpoint, in order of asking."""

    def __init__(
        self,
        name: str,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.per_second = float("inf")
        self._clock, self._sleep = clock, sleep
        self._sent: deque[float] = deque()
        self._next = 0.0
        """The next free turn."""
        self._step = 0.0
        self._slowed_at = float("-inf")
        self._resume = float("-inf")
        self._slowings = 0

    def wait_s(self) -> float:
        """How long a sender who asked now would wait."""
        return max(0.0, self._next - self._clock())

    async def take_turn(self) -> float:
        """Returns when the caller may send, with the seconds waited; a slowing meanwhile queues it anew."""
        waited_s, slowings = 0.0, -1
        while slowings != self._slowings:
            slowings = self._slowings
            asked, delay = self._clock(), self.wait_s()
            self._next = asked + delay + 1 / self.per_second
            if delay > 0:
                await self._sleep(delay)
                waited_s += self._clock() - asked
        self._note_send()
        return waited_s

    def slow_down(self, sent: float, pause_s: float) -> None:
        """The endpoint throttled a request sent at `sent`; every sender pauses and slows.

        Requests sent before the last slowing say nothing new about the rate.
        """
        now = self._clock()
        resume = now + pause_s
        if sent >= self._slowed_at:
            self._halve(now)
            _log.warning("%s throttles: at most %.2g requests/s after %.1f s", self.name, self.per_second, pause_s)
        elif resume <= self._resume:
            return
        self._resume = max(self._resume, resume)
        self._slowings += 1
        self._next = max(now + 1 / self.per_second, self._resume)

    def speed_up(self) -> None:
        """The endpoint answered: a little faster, if it had ever throttled."""
        self.per_second += self._step

    def _halve(self, now: float) -> None:
        measured = len(self._sent) / max(1.0, now - self._sent[0]) if self._sent else 1.0
        ceiling = min(self.per_second, measured)
        self.per_second = max(SLOWEST, ceiling / 2)
        self._step = ceiling / RECOVERY
        self._slowed_at = now

    def _note_send(self) -> None:
        now = self._clock()
        self._sent.append(now)
        while self._sent[0] < now - WINDOW_S:
            self._sent.popleft()


_SHARED: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, str], Rate] = WeakValueDictionary()


def shared_rate(origin: str) -> Rate:
    """The one rate of this event loop for one origin: two arms may share an endpoint."""
    key = (asyncio.get_running_loop(), origin)
    rate = _SHARED.get(key)
    if rate is None:
        rate = _SHARED[key] = Rate(origin)
    return rate
