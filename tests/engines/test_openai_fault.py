"""The engine `openai` over real HTTP: faults of the service, which are data."""

from __future__ import annotations

from typing import Any

import pytest

from canary.records import ErrorKind
from tests.engines.conftest import (
    Reply,
    ask,
    chunk,
    event,
    fault,
    refuse,
    stream,
    words,
)

pytestmark = pytest.mark.usefixtures("short_backoff")

VLLM = "This model's maximum context length is 512 tokens. However, you requested 600 tokens in the messages"


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
