"""The engine `openai` and the transport under it: what breaks below the protocol, and who is on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from canary.engines import openai
from canary.engines.http.endpoint import read_endpoint
from canary.engines.openai import open_release
from canary.errors import EngineError
from canary.records import Arm, ErrorKind, Response
from tests.engines.conftest import chunk, event, hello, release

pytestmark = pytest.mark.usefixtures("short_backoff")

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
BODY = event(chunk("stop", content="Hi")) + event(b"[DONE]")
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Head of one request, its body read over."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    if length:
        await reader.readexactly(int(length[0]))
    return head


def converse(
    serve: Serve, asked: int = 1, *, scheme: str = "http", until_closed: bool = False, **fields: Any
) -> list[Response]:
    """So many requests one after the other, or each once the connection before is closed; each is `serve`'s."""

    async def scenario() -> list[Response]:
        closed = asyncio.Event()

        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
                pass
            finally:
                writer.close()
                closed.set()

        server = await asyncio.start_server(guarded, "127.0.0.1", 0)
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        said: list[Response | None] = []
        async with server, open_release(release(url, **fields), Arm.CANDIDATE) as generate:
            for number in range(asked):
                said.append(await generate(hello(number)))
                if until_closed:
                    await closed.wait()
                    await asyncio.sleep(0.05)  # the end is on its way
                    closed.clear()
        return [response for response in said if response is not None]

    return asyncio.run(scenario())


def sends(*replies: bytes) -> Serve:
    """Each connection is answered with the next of these bytes, whatever they are, and closed."""
    left = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return serve


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        CHUNKED + b"zz\r\n" + BODY,
        CHUNKED + b"5\r\nab",
        HEAD + b"content-length: 10000\r\n\r\ndata: {",
        HEAD + b"content-encoding: br\r\ncontent-length: 3\r\n\r\nabc",
        b"\x00" * 5000,
    ],
)
def test_what_is_no_http(raw: bytes) -> None:
    """Whatever a server sends instead of HTTP is an errored response, tried again; never a crash."""
    first, second = converse(sends(raw, raw, WHOLE), 2)

    assert first.error is not None
    assert first.error.kind in (ErrorKind.SERVER, ErrorKind.MALFORMED)
    assert second.output == "Hi"


@pytest.mark.parametrize("end", [b"zz\r\nno", b""])
def test_a_broken_chunk_keeps_what_came_before(end: bytes) -> None:
    """Tokens that had arrived are kept, and the fault stands: a user would have seen them."""
    begun = event(chunk(content="Hi"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED)
        await asyncio.sleep(0.02)
        writer.write(b"%x\r\n%s\r\n" % (len(begun), begun) + end)

    (response,) = converse(serve, timeout_s=4)

    assert response.error is not None
    assert (response.output, response.error.kind, len(response.attempts)) == ("Hi", ErrorKind.SERVER, 1)


def test_a_server_that_closes_idle_connections() -> None:
    """A connection that was closed while nobody used it is not used again, and costs no second try."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(WHOLE)
        await asyncio.sleep(0.02)

    said = converse(serve, 4, until_closed=True)

    assert [(response.output, len(response.attempts)) for response in said] == [("Hi", 1)] * 4


def test_more_than_was_announced() -> None:
    """Bytes after an answer are nobody's: the next answer is not made of them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(WHOLE + WHOLE.replace(b"Hi", b"No"))

    said = converse(serve, 3)

    assert [response.output for response in said] == ["Hi"] * 3


def test_a_server_without_tls() -> None:
    """An https address of a server that speaks plain HTTP stops the run, as an endpoint that is not there does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WHOLE)
        await writer.drain()

    with pytest.raises(EngineError, match=r"cannot be reached: \w+: Cannot connect to host"):
        converse(serve, scheme="https")


def test_a_server_that_does_not_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that does not come about ends long before the deadline, so that a second try has time."""
    monkeypatch.setattr(openai, "CONNECT_S", 0.2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    with pytest.raises(EngineError, match=r"cannot be reached: ConnectionTimeoutError"):
        converse(serve, scheme="https")


def test_a_connection_has_a_third_of_a_short_deadline() -> None:
    """So that a second try has time."""

    async def patience(timeout_s: float) -> float | None:
        asked = release("http://localhost:1", timeout_s=timeout_s)
        async with openai._open_client(asked, read_endpoint(asked)) as client:
            return client.timeout.connect

    assert asyncio.run(patience(0.9)) == pytest.approx(0.3)
    assert asyncio.run(patience(600)) == openai.CONNECT_S


# On the way there


@pytest.mark.parametrize(
    ("names", "url", "proxy"),
    [
        ({}, "http://api.example", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://api.example", "http://p:1"),
        ({"http_proxy": "p:1"}, "http://api.example", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://api.example", None),
        ({"ALL_PROXY": "http://p:1"}, "https://api.example", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "http://q:2"}, "https://api.example", "http://q:2"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "example"}, "https://api.example", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "api.example:444"}, "https://api.example:444", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://api.example", None),
        ({"ALL_PROXY": "http://p:1"}, "http://127.0.0.1:9", None),
    ],
)
def test_which_proxy(names: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's, as other programs read it; none to this machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in names.items():
        monkeypatch.setenv(name, value)

    assert (found := read_endpoint(release(url)).proxy) is None or str(found).rstrip("/") == proxy
    assert (found is None) == (proxy is None)


def proxied(serve: Serve, monkeypatch: pytest.MonkeyPatch, base: str) -> list[Response]:
    """One request to `base`, with `serve` as the environment's proxy, whose password is a secret."""

    async def scenario() -> list[Response]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        monkeypatch.setenv("ALL_PROXY", f"http://ann:TopSecret@127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with server, open_release(release(base), Arm.CANDIDATE) as generate:
            return [response for response in [await generate(hello())] if response is not None]

    return asyncio.run(scenario())


def test_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is told the whole address and its own password, and what it answers is the answer."""
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(WHOLE)
        writer.close()

    (response,) = proxied(serve, monkeypatch, "http://api.example")

    assert response.output == "Hi"
    assert heads[0].startswith(b"POST http://api.example/v1/chat/completions HTTP/1.1\r\n")
    assert b"proxy-authorization: basic" in heads[0].lower()


def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as such, without the proxy's password."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    with pytest.raises(EngineError, match="cannot be reached: ClientHttpProxyError: 403") as stopped:
        proxied(serve, monkeypatch, "https://api.example")

    assert "TopSecret" not in str(stopped.value)


def test_credentials_of_netrc_are_not_sent(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the release says is sent: a machine's own file of passwords stays with it."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password TopSecret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(WHOLE)

    converse(serve)

    assert b"authorization" not in heads[0].lower()
