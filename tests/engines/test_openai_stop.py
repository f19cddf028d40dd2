"""The engine `openai` over real HTTP: faults that are ours and stop the run, and requests given up."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from canary.engines.openai import open_release
from canary.errors import EngineError
from canary.records import Arm, ErrorKind, Response
from tests.engines.conftest import (
    Reply,
    Seen,
    StandIn,
    ask,
    chunk,
    fault,
    hello,
    in_turn,
    refuse,
    release,
    stream,
    words,
)

pytestmark = pytest.mark.usefixtures("short_backoff")


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, {"message": "Incorrect API key"}, r"HTTP 401: Incorrect API key \(check 'api_key'\)"),
        (403, b"forbidden", r"HTTP 403: forbidden \(check 'api_key' and what it may do\)"),
        (404, {"message": "no model m"}, r"HTTP 404: no model m \(check 'base_url', 'api' and 'model'\)"),
        (400, {"message": "bad role"}, "HTTP 400: bad role$"),
        (422, b'{"detail": [{"msg": "bad"}]}', r'HTTP 422: \[{"msg": "bad"}\]$'),
        (429, {"code": "insufficient_quota", "message": "You exceeded"}, "HTTP 429: You exceeded .*no quota left"),
    ],
)
def test_client_errors_stop_the_run(status: int, error: Any, said: str) -> None:
    """A rejected request names arm, release and URL, and quotes the server."""
    who = r"candidate 'v2' at http://127.0.0.1:\d+/v1/chat/completions rejects our requests: "
    with pytest.raises(EngineError, match=who + said):
        ask(refuse(status, error))


def test_redirects_are_not_followed() -> None:
    """A redirect is told, not followed with our credentials."""
    with pytest.raises(EngineError, match="HTTP 307: redirects to http://elsewhere/"):
        ask(refuse(307, b"", location="http://elsewhere/"))


def test_error_of_ours_instead_of_a_stream() -> None:
    """Status 200 does not make a wrong key right."""
    with pytest.raises(EngineError, match="HTTP 401: no key"):
        ask(stream({"error": {"code": 401, "message": "no key"}}))


def test_never_came_up() -> None:
    """An endpoint that was never there stops the run after the second try."""

    async def scenario() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and nobody listens on it
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            async with open_release(release(url), Arm.BASELINE) as generate:
                await generate(hello())

    with pytest.raises(
        EngineError, match=r"baseline 'v2' at http://127.0.0.1:\d+/v1/chat/completions cannot be reached"
    ):
        asyncio.run(scenario())


def test_gone_later() -> None:
    """An endpoint that answered before and is gone now is a server that fails."""

    async def scenario() -> Response | None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_release(release(url), Arm.BASELINE) as generate:
            async with server:
                await generate(hello())
            return await generate(hello())

    response = asyncio.run(scenario())

    assert response is not None
    assert fault(response)[0] is ErrorKind.SERVER
    assert "Cannot connect to host" in fault(response)[1]


def test_cancelled_request_frees_the_engine() -> None:
    """A request that is given up does not disturb the next one."""

    async def scenario() -> Response | None:
        asked, replies = asyncio.Event(), in_turn(stream(chunk(content="a"), done=False, end="hang"), words("b"))

        def script(seen: Seen) -> Reply:
            asked.set()
            return replies(seen)

        stand_in = StandIn(script)
        server = await asyncio.start_server(stand_in.serve, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with open_release(release(url), Arm.CANDIDATE) as generate:
                given_up = asyncio.ensure_future(generate(hello()))
                await asked.wait()
                given_up.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await given_up
                return await generate(hello())

    response = asyncio.run(scenario())

    assert response is not None
    assert response.output == "b"
