"""A server that plays a script over real HTTP on this machine.

It can be told to send any bytes, in any pieces, and to break off anywhere. It
says nothing about speed: no test reads a time off it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from canary.engines.http import retry
from canary.engines.openai import open_release
from canary.protocols import Request
from canary.records import Arm, ErrorKind, Response
from canary.release import OpenAIRelease

USAGE = {"prompt_tokens": 7, "completion_tokens": 2}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered to one request."""

    pieces: tuple[bytes, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause_s: float = 0.0
    """Before each piece."""
    end: str = "whole"
    """`whole`; `cut`: the connection breaks after the pieces; `hang`: nothing more comes."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    connection: int
    """Number of the connection it came on."""
    at: float
    """Event loop's clock."""


Script = Callable[[Seen], Reply]


@dataclass
class StandIn:
    """Plays `script` to every request and keeps what it was asked."""

    script: Script
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    _connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side has had enough."""
        self._connections += 1
        connection = self._connections
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n"):
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = json.loads(await reader.readexactly(int(headers["content-length"])))
                at = asyncio.get_running_loop().time()
                path = head[0].split()[1]
                self.seen.append(Seen(path=path, headers=headers, body=body, connection=connection, at=at))
                await _play(self.script(self.seen[-1]), writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


async def _play(reply: Reply, writer: asyncio.StreamWriter) -> None:
    headers = {"content-type": "text/event-stream", "transfer-encoding": "chunked", **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    if reply.status:
        writer.write("\r\n".join([*lines, "", ""]).encode())
    for piece in reply.pieces:
        await asyncio.sleep(reply.pause_s)
        if piece:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
    if reply.end == "hang":
        await asyncio.sleep(30)
    if reply.end != "whole":
        raise ConnectionAbortedError
    writer.write(b"0\r\n\r\n")
    await writer.drain()


@dataclass(frozen=True)
class Outcome:
    """What the engine said, and what the server saw of it."""

    responses: list[Response]
    server: StandIn

    @property
    def response(self) -> Response:
        """The only one."""
        (response,) = self.responses
        return response


@contextmanager
def serving(script: Script) -> Iterator[StandIn]:
    """The stand-in, serving from a thread of its own, for a run that has an event loop of its own."""
    stand_in, loop = StandIn(script), asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(stand_in.serve, "127.0.0.1", 0, backlog=1024))
    stand_in.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield stand_in
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        listening.close()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()


def event(document: Any) -> bytes:
    """One event of a stream."""
    return b"data: " + (document if isinstance(document, bytes) else json.dumps(document).encode()) + b"\n\n"


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk of a chat answer."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def stream(*documents: Any, done: bool = True, **how: Any) -> Reply:
    """A reply that streams these documents, a piece each."""
    return Reply(pieces=(*map(event, documents), *((event(b"[DONE]"),) if done else ())), **how)


def words(*texts: str, finish: str | None = "stop", usage: Mapping[str, Any] | None = None, **how: Any) -> Reply:
    """A plain, well-behaved answer."""
    counted = {"prompt_tokens": 7, "completion_tokens": len(texts)} if usage is None else usage
    first = chunk(role="assistant", content="")
    return stream(
        first, *(chunk(content=text) for text in texts), chunk(finish), {"choices": [], "usage": counted}, **how
    )


def refuse(status: int, error: Any, **headers: str) -> Reply:
    """An HTTP error as OpenAI writes it."""
    body = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(pieces=(body,), status=status, headers={"content-type": "application/json", **named})


def in_turn(*replies: Reply) -> Script:
    """Each reply once, then the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def release(url: str, base: str = "/v1", **fields: Any) -> OpenAIRelease:
    """A release at `url`."""
    written = {"engine": "openai", "name": "v2", "model": "m", "base_url": f"{url}{base}", "timeout_s": 30}
    return OpenAIRelease.model_validate(written | fields)


def hello(number: int = 0, **fields: Any) -> Request:
    """A request whose only turn says Hello."""
    written: dict[str, Any] = {"id": f"case-{number}", "arm": Arm.CANDIDATE, "repeat": 0, "seed": 11}
    return Request(**(written | {"messages": None, "text": "Hello"} | fields))


async def _converse(script: Script, requests: Sequence[Request], at_once: int, fields: Mapping[str, Any]) -> Outcome:
    stand_in = StandIn(script)
    server = await asyncio.start_server(stand_in.serve, "127.0.0.1", 0, backlog=1024)
    turns = asyncio.Semaphore(at_once)
    async with server:
        stand_in.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_release(release(stand_in.url, **fields), Arm.CANDIDATE) as generate:

            async def one(request: Request) -> Response | None:
                async with turns:
                    return await generate(request)

            answers = await asyncio.gather(*map(one, requests))
    return Outcome([answer for answer in answers if answer is not None], stand_in)


def ask_all(script: Script, requests: Sequence[Request], *, at_once: int = 1, **fields: Any) -> Outcome:
    """Has several requests answered, so many at once; fields are the release's."""
    return asyncio.run(_converse(script, requests, at_once, fields))


def ask(*replies: Reply, request: Request | None = None, **fields: Any) -> Outcome:
    """Has one request answered; fields are the release's."""
    return ask_all(in_turn(*replies), [request or hello()], **fields)


@pytest.fixture
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second try comes at once."""
    monkeypatch.setattr(retry, "BACKOFF_S", 0.01)


def fault(response: Response) -> tuple[ErrorKind, str]:
    """Kind and message of a response that failed."""
    assert response.error is not None
    return response.error.kind, response.error.message
