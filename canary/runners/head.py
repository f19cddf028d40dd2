"""The head node of a cluster, watched: without it Ray waits, then ends this process with status 1."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from canary.errors import EngineError

AWAY_S = 30.0
"""How long a head node may be away, such as one that is brought up again."""
RECONNECT_S = 86_400
"""How long Ray itself tries before it ends this process: longer than anybody here waits for it."""
T = TypeVar("T")
_EVERY_S = 2.0
_ANSWER_S = 5.0


@asynccontextmanager
async def watched(host: str, port: int, advice: str) -> AsyncIterator[None]:
    """Raises EngineError in the middle of its body once nothing has listened there for `AWAY_S`."""
    try:
        async with asyncio.timeout(None) as patience:
            watch = asyncio.create_task(_watch(host, port, patience))
            try:
                yield
            finally:
                watch.cancel()
    except TimeoutError:
        if not patience.expired():
            raise
        raise EngineError(f"{_lost(host, port)}; {advice}") from None


def unwatched(call: Callable[[], T]) -> Future[T]:
    """What a call of Ray will give that waits for the head node as long as Ray does.

    In a thread that nobody waits for, so that the head node is watched meanwhile.
    """
    said: Future[T] = Future()
    said.set_running_or_notify_cancel()  # from here on whoever waits may give it up

    def ask() -> None:
        try:
            said.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            said.set_exception(error)

    threading.Thread(target=ask, name="canary-ray-call", daemon=True).start()
    return said


def require(host: str, port: int) -> None:
    """Returns at once where something listens there; raises EngineError once nothing has for `AWAY_S`."""
    until = time.monotonic() + AWAY_S
    while True:
        with suppress(OSError):
            socket.create_connection((host, port), _ANSWER_S).close()
            return
        if time.monotonic() > until:
            raise EngineError(_lost(host, port))
        time.sleep(min(_EVERY_S, AWAY_S))


def _lost(host: str, port: int) -> str:
    return f"the cluster's head node is lost: nothing has answered at {host}:{port} for {AWAY_S:g} s"


async def _watch(host: str, port: int, patience: asyncio.Timeout) -> None:
    """Ends the body's patience; time in which this process itself was busy is not held against the head node."""
    clock = asyncio.get_running_loop().time
    away_s = 0.0
    while away_s < AWAY_S:
        asked = clock()
        listens = await _listens(host, port)
        await asyncio.sleep(_EVERY_S)
        away_s = 0.0 if listens else away_s + min(clock() - asked, _ANSWER_S + _EVERY_S)
    patience.reschedule(clock())


async def _listens(host: str, port: int) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
    return False
