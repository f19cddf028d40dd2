"""The engine `openai` over real HTTP: streams that are cut, deadlines, and what is tried again."""

from __future__ import annotations

import pytest

from canary.records import ErrorKind
from tests.engines.conftest import (
    Reply,
    Seen,
    ask,
    ask_all,
    chunk,
    event,
    fault,
    hello,
    in_turn,
    refuse,
    stream,
    words,
)

pytestmark = pytest.mark.usefixtures("short_backoff")


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
