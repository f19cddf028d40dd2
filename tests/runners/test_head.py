"""A head node that is watched: what listens there, goes away, and comes back."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from canary.errors import EngineError
from canary.runners import head


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for half a minute."""
    monkeypatch.setattr(head, "AWAY_S", 0.6)
    monkeypatch.setattr(head, "_EVERY_S", 0.05)


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Only listens."""
    writer.close()


def body(work: Callable[[asyncio.Server, int], Awaitable[None]]) -> None:
    """Does it inside the watch of a server of its own."""

    async def scenario() -> None:
        server = await asyncio.start_server(nothing, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            async with head.watched("127.0.0.1", port, "go on elsewhere"):
                await work(server, port)
        finally:
            server.close()

    asyncio.run(scenario())


def test_one_that_is_gone_ends_the_work() -> None:
    """In the middle of whatever is waited for, with the advice."""

    async def work(server: asyncio.Server, port: int) -> None:
        server.close()
        await asyncio.sleep(60)

    with pytest.raises(
        EngineError, match=r"lost: nothing has answered at 127\.0\.0\.1:\d+ for 0\.6 s; go on elsewhere$"
    ):
        body(work)


def test_one_that_comes_back_is_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Being away twice is not being away for long; each look counts for no more than it may take."""
    monkeypatch.setattr(head, "_ANSWER_S", 0.0)  # so that each counts for 0.05 s, of the 0.6 s that are too long
    looks: asyncio.Queue[bool] = asyncio.Queue()
    missed = list[int]()

    async def listens(host: str, port: int) -> bool:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            looks.put_nowait(False)  # noqa: FBT003 - what was seen
            return False
        writer.close()
        looks.put_nowait(True)  # noqa: FBT003
        return True

    async def work(server: asyncio.Server, port: int) -> None:
        for _ in range(3):
            server.close()
            away = 0
            while away < 8:
                away += not await looks.get()
            missed.append(away)
            server = await asyncio.start_server(nothing, "127.0.0.1", port)
            while not await looks.get():
                pass
        server.close()

    monkeypatch.setattr(head, "_listens", listens)
    body(work)

    assert missed == [8, 8, 8]


def test_other_faults_stay_what_they_are() -> None:
    """A deadline of the work itself is not the head node's."""

    async def work(server: asyncio.Server, port: int) -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match=r"^mine$"):
        body(work)


def test_one_that_is_required_is_waited_for() -> None:
    """Where something listens it is there at once, and where nothing does for long it is lost."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        head.require("127.0.0.1", port)
    begun = time.monotonic()

    with pytest.raises(EngineError, match=rf"lost: nothing has answered at 127\.0\.0\.1:{port} for 0\.6 s$"):
        head.require("127.0.0.1", port)

    assert time.monotonic() - begun > 0.6
