"""The engine `openai` over real HTTP: everything that goes wrong, and what is tried again."""

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
    ask_all,
    chunk,
    event,
    hello,
    in_turn,
    refuse,
    release,
    stream,
    words,
)

pytestmark = pytest.mark.usefixtures("short_backoff")

VLLM = "This model's maximum context length is 512 tokens. However, you requested 600 tokens in the messages"


def fault(response: Response) -> tuple[ErrorKind, str]:
    """Kind and message of a response that failed."""
    assert response.error is not None
    return response.error.kind, response.error.message


# Faults of the service, which are data


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "context_length_exceeded", "message": "too long"}, ErrorKind.CONTEXT_LENGTH),
        (400, {"message": VLLM, "type": "BadRequestError", "code": 400}, ErrorKind.CONTEXT_LENGTH),
        (400, {"message": "The decoder prompt (length 600) is longer than the maximum model length of 512"},
         ErrorKind.CONTEXT_LENGTH),
        (400, {"type": "exceed_context_size_error", "message": "request exceeds the available context size"},
         ErrorKind.CONTEXT_LENGTH),
        (422, b'{"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 512"}',
         ErrorKind.CONTEXT_LENGTH),
        (413, b"Request Entity Too Large", ErrorKind.CONTEXT_LENGTH),
        (400, {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}},
         ErrorKind.CONTENT_FILTER),
        (400, {"code": "content_policy_violation"}, ErrorKind.CONTENT_FILTER),
        (429, {"code": "rate_limit_exceeded", "message": "Rate limit reached"}, ErrorKind.THROTTLED),
        (413, {"code": "rate_limit_exceeded", "message": "Request too large: tokens per minute"}, ErrorKind.THROTTLED),
        (529, {"type": "overloaded_error"}, ErrorKind.THROTTLED),
        (500, {"message": "CUDA error"}, ErrorKind.SERVER),
        (501, b"", ErrorKind.SERVER),
        (503, b"<html>no upstream</html>", ErrorKind.SERVER),
        (408, b"", ErrorKind.SERVER),
    ],
)  # fmt: skip
def test_kinds(status: int, error: Any, kind: ErrorKind) -> None:
    """A status and the server's own words say whose fault it is; the words are kept."""
    said, message = fault(ask(refuse(status, error, retry_after="60")).response)

    assert said is kind
    assert message.startswith(f"HTTP {status}")


@pytest.mark.parametrize(
    ("finish", "kind"),
    [
        ("length", ErrorKind.TRUNCATED),
        ("MAX_TOKENS", ErrorKind.TRUNCATED),
        ("content_filter", ErrorKind.CONTENT_FILTER),
        ("refusal", ErrorKind.REFUSAL),
        ("abort", ErrorKind.SERVER),
    ],
)
def test_finish_reasons(finish: str, kind: ErrorKind) -> None:
    """An answer may end in a way that makes it none; what was said is kept."""
    response = ask(words("Hi", finish=finish)).response

    assert fault(response)[0] is kind
    assert (response.output, response.finish_reason, len(response.attempts)) == ("Hi", finish, 1)


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "eos_token", "null", ""])
def test_other_finish_reasons(finish: str) -> None:
    """Any other end is an end."""
    assert ask(words("Hi", finish=finish)).response.error is None


def test_refusal() -> None:
    """A refusal in the field made for it is an error whose output is the refusal."""
    response = ask(stream(chunk(refusal="I can"), chunk(refusal="not."), chunk("stop"))).response

    assert fault(response)[0] is ErrorKind.REFUSAL
    assert response.output == "I cannot."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (event(b"{broken"), "the server sent something that is not JSON: '{broken'"),
        (event(b"[1]"), "the server sent JSON that is no object: [1]"),
        (event({"choices": "none"}), "'choices' must be a list of objects (got none)"),
        (event({"choices": ["x"]}), "'choices' must be a list of objects (got ['x'])"),
        (event({"choices": [{"delta": "x"}]}), "'delta' must be an object (got x)"),
        (event(chunk(content=5)), "the server sent text that is no text: 5"),
        (event(b"[DONE]"), "the server ended an answer that holds no choice"),
        (b'{"detail": "hello"}', "the server ended an answer that holds no choice"),
        (b"<!doctype html><html>", "the server sent something that is not JSON: b'<!doctype html><html>'"),
        (b'{"choices": [', "the server sent something that is not JSON: b'{\"choices\": ['"),
        (b"[" * 100_000, "the server sent something that is not JSON: b'" + "[" * 200 + "'"),
    ],
)
def test_malformed(body: bytes, said: str) -> None:
    """What does not speak the protocol is malformed, tried once and quoted."""
    response = ask(Reply(pieces=(body,))).response

    assert fault(response) == (ErrorKind.MALFORMED, said)
    assert len(response.attempts) == 1


def test_malformed_in_the_middle_keeps_what_was_said() -> None:
    """The output before the fault is kept."""
    response = ask(stream(chunk(content="Hi"), b"{broken")).response

    assert fault(response)[0] is ErrorKind.MALFORMED
    assert response.output == "Hi"


def test_larger_than_any_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without end is given up."""
    monkeypatch.setattr("canary.engines.http.exchange.LARGEST", 1000)

    assert fault(ask(words(*["word"] * 100)).response) == (
        ErrorKind.MALFORMED,
        "the answer is larger than 1000 bytes",
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "CUDA error", "code": 500}}, ErrorKind.SERVER),
        ({"error": "the model crashed"}, ErrorKind.SERVER),
        ({"object": "error", "message": "no", "code": 503}, ErrorKind.SERVER),
        ({"error": {"code": "429", "message": "slow down"}}, ErrorKind.THROTTLED),
        ({"error": {"type": "rate_limit_error"}}, ErrorKind.THROTTLED),
        ({"error": {"code": "context_length_exceeded"}}, ErrorKind.CONTEXT_LENGTH),
        ({"error": {"code": 400, "message": "odd"}}, ErrorKind.SERVER),
    ],
)
def test_error_inside_a_stream(error: dict[str, Any], kind: ErrorKind) -> None:
    """An error object after the first tokens is read like a status; it is never ours, and not tried again."""
    response = ask(stream(chunk(content="Hi"), error, done=False)).response

    assert fault(response)[0] is kind
    assert (response.output, len(response.attempts)) == ("Hi", 1)


def test_error_instead_of_a_stream() -> None:
    """An error object before the first token is tried again where that may help."""
    response = ask(stream({"error": {"code": 502, "message": "Provider returned error"}}), words("Hi")).response

    assert response.output == "Hi"
    assert response.attempts[0].error is not None
    assert response.attempts[0].error.message == "HTTP 502: Provider returned error"


def test_broken_compression() -> None:
    """A body that is not in the encoding it claims is malformed."""
    kind, message = fault(ask(Reply(pieces=(b"no gzip",), headers={"content-encoding": "gzip"})).response)

    assert kind is ErrorKind.MALFORMED
    assert message.startswith("the content encoding is broken: ")


def test_endless_error() -> None:
    """An error's message is read as far as anyone would, and shown shorter."""
    kind, message = fault(ask(refuse(501, b"x" * 1_000_000)).response)

    assert kind is ErrorKind.SERVER
    assert len(message) == 500
    assert message.endswith("x…")


# Streams that are cut


@pytest.mark.parametrize("end", ["cut", "whole"])
def test_cut_after_the_first_token(end: str) -> None:
    """A cut stream is the server's fault; a user would have seen it, so it stands, with its partial output."""
    response = ask(stream(chunk(content="Hi"), chunk(content=" th"), done=False, end=end), words("no")).response

    kind, message = fault(response)
    assert kind is ErrorKind.SERVER
    assert "cut" in message or "payload is not completed" in message
    assert (response.output, len(response.attempts)) == ("Hi th", 1)
    assert response.ttft_s is not None


@pytest.mark.parametrize("pieces", [(), (b": ping\n\n",), (event(chunk(role="assistant")),), (b"data: {", b'"choi')])
def test_cut_before_the_first_token(pieces: tuple[bytes, ...]) -> None:
    """Nothing had been said: tried again."""
    response = ask(Reply(pieces=pieces, end="cut"), words("Hi")).response

    assert (response.output, response.error) == ("Hi", None)
    assert [attempt.error is None for attempt in response.attempts] == [False, True]


def test_cut_inside_the_last_event() -> None:
    """A stream that ends properly, but in the middle of an event, was cut."""
    assert fault(ask(Reply(pieces=(event(chunk(content="Hi")), b"data: {"))).response) == (
        ErrorKind.SERVER,
        "the stream was cut before the answer ended",
    )


def test_cut_after_the_end() -> None:
    """A connection that breaks after the answer's end harms nothing."""
    response = ask(stream(chunk("stop", content="Hi"), done=False, end="cut")).response

    assert (response.output, response.error) == ("Hi", None)


# Time


@pytest.mark.parametrize("finish", [None, "stop"])
def test_deadline(finish: str | None) -> None:
    """One for the whole request, whatever was said of its end; what had arrived is kept, and nothing tried after it."""
    response = ask(stream(chunk(finish, content="Hi"), done=False, end="hang"), timeout_s=4).response

    assert fault(response) == (ErrorKind.SERVER, "no complete answer within 4 s")
    assert (response.output, len(response.attempts)) == ("Hi", 1)


def test_no_answer_at_all() -> None:
    """A request that spent its time waiting is not tried again."""
    response = ask(Reply(status=0, end="hang"), words("Hi"), timeout_s=3).response  # a third of it to connect

    assert fault(response)[0] is ErrorKind.SERVER
    assert response.ttft_s is None
    assert len(response.attempts) == 1


def test_no_retry_that_cannot_finish() -> None:
    """No second try where the server wants to be left alone for longer than there is time."""
    response = ask(refuse(503, "busy", retry_after="60"), words("Hi")).response

    assert fault(response)[0] is ErrorKind.SERVER
    assert len(response.attempts) == 1


@pytest.mark.parametrize(("took", "tries"), [(19.0, 2), (21.0, 1)])
def test_no_retry_quicker_than_any_answer(monkeypatch: pytest.MonkeyPatch, took: float, tries: int) -> None:
    """No second try in less time than the quickest answer took, on a clock that only the server turns."""
    now, turned = [1000.0], iter([10.0, took])  # of thirty seconds
    for module in ("openai", "http.exchange"):
        monkeypatch.setattr(f"canary.engines.{module}.clock", lambda: now[0])
    replies = in_turn(words("Hi"), refuse(503, "late"), words("again"))

    def script(seen: Seen) -> Reply:
        now[0] += next(turned, 0.0)
        return replies(seen)

    outcome = ask_all(script, [hello(0), hello(1)], timeout_s=30)

    assert [len(response.attempts) for response in outcome.responses] == [1, tries]


# What is tried again


@pytest.mark.parametrize("first", [refuse(500, "x"), refuse(502, b""), refuse(408, "x"), refuse(429, "x")])
def test_transient_faults_are_tried_once_more(first: Reply) -> None:
    """A second try may succeed; both are on record, and times are those of the one that answered."""
    response = ask(first, words("Hi")).response

    assert (response.output, response.error, len(response.attempts)) == ("Hi", None, 2)
    assert response.attempts[0].error is not None
    assert response.total_s is not None
    assert response.total_s <= response.attempts[1].seconds


def test_at_most_one_retry() -> None:
    """The second failure is the answer."""
    outcome = ask(refuse(500, "one"), refuse(500, "two"), words("no"))

    assert fault(outcome.response) == (ErrorKind.SERVER, "HTTP 500: two")
    assert len(outcome.server.seen) == 2


@pytest.mark.parametrize(
    "reply",
    [refuse(501, "x"), refuse(400, {"code": "context_length_exceeded"}), refuse(400, {"code": "content_filter"})],
)
def test_deterministic_faults_are_not_tried_again(reply: Reply) -> None:
    """What would fail again is not asked again."""
    assert len(ask(reply, words("no")).server.seen) == 1


def test_retry_after_is_honoured() -> None:
    """The second try comes no sooner than the server asks."""
    first, second = ask(refuse(503, "busy", retry_after_ms="300"), words("Hi")).server.seen

    assert second.at - first.at >= 0.3


def test_aborted_before_the_first_token() -> None:
    """A server that gives up before it begins is asked once more."""
    response = ask(stream(chunk(role="assistant"), chunk("abort")), words("Hi")).response

    assert (response.output, len(response.attempts)) == ("Hi", 2)


def test_retry_budget() -> None:
    """In an outage retries stay within ten and a tenth of the requests."""
    outcome = ask_all(in_turn(refuse(500, "down")), [hello(n) for n in range(40)])

    assert len(outcome.server.seen) == 40 + 10 + 4


# Faults that are ours, which stop the run


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
