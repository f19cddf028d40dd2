"""One try: a request sent, an answer timed as it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from yarl import URL

from canary.engines.http.answer import Answer, MalformedError, parse
from canary.engines.http.fault import Fault, finish_fault, server_fault, status_fault, stream_fault
from canary.engines.http.filtered import read_guardrail
from canary.engines.http.retry import read_retry_after
from canary.engines.http.sse import Events
from canary.records import ErrorKind

clock = time.perf_counter

LARGEST = 64 * 2**20
"""Bytes of an answer; more is no answer."""
LARGEST_ERROR = 2**16
FAREWELL_S = 0.5
"""How long a connection may stay open after the answer, so that it can be used again."""

_UNREACHED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


@dataclass(slots=True)
class Try:
    """What came of one request."""

    answer: Answer
    seconds: float = 0.0
    status: int | None = None
    """The HTTP status; None where none arrived."""
    rejection: str = ""
    """The body of an answer whose status is not 2xx."""
    fault: Fault | None = None


async def exchange(client: aiohttp.ClientSession, url: URL, body: bytes, deadline: float) -> Try:
    """Sends at once; what had arrived is kept whatever goes wrong. Never raises for the world's faults."""
    sent = clock()
    made = Try(Answer(sent))
    interruption = None
    try:
        async with asyncio.timeout(deadline - sent) as patience:
            await _converse(client, url, body, made, patience)
    except MalformedError as error:
        made.fault = Fault(kind=ErrorKind.MALFORMED, message=str(error))
    except (aiohttp.ClientError, HttpProcessingError) as error:
        interruption = _broken(error)  # a connection that timed out is one of them
    except TimeoutError:
        interruption = server_fault(f"no complete answer within {deadline - sent:.3g} s")
        if not made.answer.is_done and made.answer.error is None:
            made.fault = interruption  # whatever it says of its end: who listens to it still waits
    except OSError as error:
        interruption = _broken(error)
    made.seconds = made.seconds or clock() - sent
    made.fault = made.fault or _fault(made, interruption)
    return made


async def _converse(client: aiohttp.ClientSession, url: URL, body: bytes, made: Try, patience: asyncio.Timeout) -> None:
    async with client.post(url, data=body, allow_redirects=False) as reply:
        made.status = reply.status
        if 200 <= reply.status < 300:
            await _read(reply, made, patience)
            return
        text = bytearray()
        async for chunk in reply.content.iter_any():
            text += chunk
            if len(text) > LARGEST_ERROR:
                break
        made.rejection = text.decode(errors="replace")
        if 300 <= reply.status < 400 and "location" in reply.headers:
            made.rejection = f"redirects to {reply.headers['location']}"
        made.answer.guardrail = read_guardrail(made.rejection)
        made.fault = status_fault(made.status, made.rejection, read_retry_after(reply.headers, time.time()))


async def _read(reply: aiohttp.ClientResponse, made: Try, patience: asyncio.Timeout) -> None:
    """Reads to the end of the body, so that the connection can be used again."""
    body = _Body(made.answer)
    try:
        async for chunk in reply.content.iter_any():
            now = clock()
            body.take(chunk, now)
            if (made.answer.is_done or made.answer.error) and not made.seconds:
                made.seconds = now - made.answer.sent
                patience.reschedule(asyncio.get_running_loop().time() + FAREWELL_S)
    except (aiohttp.ClientError, HttpProcessingError, OSError):
        body.take(reply.content._read_nowait(-1), clock())  # noqa: SLF001 - else what came before the break is lost
        raise
    body.close(clock())


class _Body:
    """A stream of events, or one JSON document where a server does not stream: that one has no token times."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._events = Events()
        self._whole = bytearray()
        self._is_stream: bool | None = None
        self._size = 0

    def take(self, chunk: bytes, now: float) -> None:
        """Adds what has arrived; its first character tells what it is."""
        self._size += len(chunk)
        if self._size > LARGEST:
            raise MalformedError(f"the answer is larger than {LARGEST} bytes")
        if self._is_stream is None and chunk.strip():
            self._is_stream = chunk.lstrip()[:1] not in b'{["<'
        if self._is_stream is False:
            self._whole += chunk
            return
        for event in self._events.feed(chunk):
            self._answer.hear(event, now)

    def close(self, now: float) -> None:
        """Ends it: an event without its blank line counts where it is whole, else the stream was cut in it."""
        if self._is_stream is False:
            self._answer.add(parse(bytes(self._whole)), None)
            self._answer.is_done = True
            return
        for event in self._events.close():
            with contextlib.suppress(MalformedError):
                self._answer.hear(event, now)


def _fault(made: Try, interruption: Fault | None) -> Fault | None:
    answer = made.answer
    if answer.error is not None:
        return stream_fault(answer.error, has_begun=answer.has_begun)
    if answer.is_complete:
        return finish_fault(answer.finish_reason, is_refused=answer.is_refused)
    if answer.is_done:
        return Fault(kind=ErrorKind.MALFORMED, message="the server ended an answer that holds no choice")
    return interruption or server_fault("the stream was cut before the answer ended")


def _broken(error: Exception) -> Fault:
    if isinstance(error.__cause__, ContentEncodingError):
        return Fault(kind=ErrorKind.MALFORMED, message=f"the content encoding is broken: {error.__cause__.message}")
    kind = type(error).__name__
    # Such an error's own text names the proxy with its password.
    text = f"{error.status} {error.message}" if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return Fault(
        kind=ErrorKind.SERVER,
        message=f"{kind}: {text}" if text else kind,
        is_transient=True,
        is_unreached=isinstance(error, _UNREACHED),
    )
