"""The engine `openai` over real HTTP: answers however a server writes them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from canary.engines.http.exchange import FAREWELL_S
from tests.engines.conftest import USAGE, Reply, ask, chunk, event, stream, words

pytestmark = pytest.mark.usefixtures("short_backoff")


def test_plain_answer() -> None:
    """Tokens, times and counts of a well-behaved stream."""
    response = ask(words("Hi", " there", "!", pause_s=0.02)).response

    assert (response.id, response.output, response.finish_reason, response.error) == (
        "case-0",
        "Hi there!",
        "stop",
        None,
    )
    assert (response.input_tokens, response.output_tokens, response.cached_tokens) == (7, 3, None)
    assert response.ttft_s is not None
    assert response.itl_s is not None
    assert response.total_s is not None
    assert 0 < response.ttft_s < response.total_s
    assert len(response.itl_s) == 2
    assert response.tpot_s == pytest.approx((response.total_s - response.ttft_s) / 2)
    assert len(response.attempts) == 1


def test_first_token_is_content() -> None:
    """A turn's role, empty deltas and comments are no token."""
    reply = Reply(
        pieces=(
            b": keep-alive\n\n",
            event(chunk(role="assistant", content="")),
            event(chunk()),
            b": ping\r\n",
            event(chunk(content="Hi")),
            event(chunk("stop")),
            event(b"[DONE]"),
        ),
        pause_s=0.01,
    )
    response = ask(reply).response

    assert response.output == "Hi"
    assert response.itl_s == ()
    assert response.ttft_s is not None
    assert response.ttft_s > 0.04


def test_reasoning_counts_as_a_token_not_as_output() -> None:
    """The first token may be one of reasoning; only the answer is output."""
    for field in ("reasoning_content", "reasoning"):
        response = ask(stream(chunk(**{field: "Hm."}), chunk(content="Hi"), chunk("stop"), pause_s=0.002)).response

        assert response.output == "Hi"
        assert response.itl_s is not None
        assert len(response.itl_s) == 1


@pytest.mark.parametrize(
    "done", [b"data:[DONE]\n\n", b"data: [DONE] \r\n\r\n", b"data: [done]\n\n", b"data: [DONE]", b""]
)
def test_ends_of_stream(done: bytes) -> None:
    """However a stream ends, an answer with a finish_reason is whole."""
    response = ask(Reply(pieces=(event(chunk(content="Hi")), event(chunk("stop")), done))).response

    assert (response.output, response.error) == ("Hi", None)


@pytest.mark.parametrize("late", [chunk(content="It is 5."), {"error": {"message": "x"}}, b"{broken"])
def test_what_comes_after_the_end_is_heard_by_nobody(late: Any) -> None:
    """An answer that is put right behind `[DONE]` is one that no client would show."""
    outcome = ask(stream(chunk(content="It is 4."), chunk("stop"), b"[DONE]", late, done=False))

    assert (outcome.response.output, outcome.response.error) == ("It is 4.", None)


def test_last_event_without_blank_line() -> None:
    """An event that the end of the stream completes is read."""
    reply = Reply(pieces=(event(chunk(content="Hi")), b"data: " + json.dumps(chunk("stop")).encode()))

    assert ask(reply).response.finish_reason == "stop"


def test_server_that_keeps_the_stream_open() -> None:
    """After the end was announced, the connection is given half a second and no fault."""
    began = time.perf_counter()
    response = ask(words("Hi", end="hang")).response
    elapsed_s = time.perf_counter() - began

    assert (response.output, response.error) == ("Hi", None)
    assert response.attempts[0].seconds <= elapsed_s - FAREWELL_S


def test_bytes_in_any_pieces() -> None:
    """Characters, lines and events may be cut anywhere; data may have several lines."""
    text = "Grüße 🐤\u2028 日本"
    raw = json.dumps(chunk(content=text), ensure_ascii=False, indent=1).encode().replace(b"\n", b"\r\ndata: ")
    whole = b"\xef\xbb\xbfdata: " + raw + b"\r\n\r\n" + event(chunk("stop")) + event(b"[DONE]")
    response = ask(Reply(pieces=tuple(bytes([byte]) for byte in whole))).response

    assert (response.output, response.error) == (text, None)


def test_surrogate_halves_in_two_chunks() -> None:
    """A character whose JSON escape was cut in half is put together; a lone half becomes U+FFFD."""
    halves = (
        event(rb'{"choices":[{"delta":{"content":"\ud83d"}}]}'),
        event(rb'{"choices":[{"delta":{"content":"\udc24"}}]}'),
    )
    lone = event(rb'{"choices":[{"delta":{"content":"\ud83d"},"finish_reason":"stop"}]}')

    assert ask(Reply(pieces=(*halves, lone))).response.output == "🐤\ufffd"


def test_empty_and_other_choices() -> None:
    """Chunks without choices are read over, and so is every choice but the first."""
    other = {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]}
    filtered: dict[str, Any] = {"choices": [], "prompt_filter_results": []}
    response = ask(stream(filtered, chunk(content="Hi"), other, {"type": "ping"}, chunk("stop"))).response

    assert response.output == "Hi"


def test_content_in_parts() -> None:
    """Content may come as a list of parts."""
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hi"}]

    assert ask(stream(chunk(content=parts), chunk("stop"))).response.output == "Hi"


def test_tool_calls_are_assembled() -> None:
    """A tool call's pieces make one JSON object; several calls make a list."""

    def call(index: int, **function: str) -> dict[str, Any]:
        return chunk(tool_calls=[{"index": index, "function": function}])

    one = (call(0, name="buy", arguments=""), call(0, arguments='{"item": '), call(0, arguments='"watch"}'))
    two = (call(1, name="wait"), chunk("tool_calls"))

    assert ask(stream(*one, *two[1:])).response.output == '{"name": "buy", "arguments": {"item": "watch"}}'
    assert json.loads(ask(stream(*one, *two)).response.output) == [
        {"name": "buy", "arguments": {"item": "watch"}},
        {"name": "wait", "arguments": {}},
    ]


def test_tool_call_with_broken_arguments() -> None:
    """Arguments that are no JSON are shown as the model wrote them; content goes before calls."""
    broken = chunk(function_call={"name": "buy", "arguments": "{item"})

    assert ask(stream(broken, chunk("stop"))).response.output == '{"name": "buy", "arguments": "{item"}'
    assert ask(stream(chunk(content="Well"), broken, chunk("stop"))).response.output == "Well"


def test_logprobs() -> None:
    """Log probabilities are kept where every one is a number, in either API's form."""
    chat = [chunk(content="a"), chunk("stop", content="b")]
    for document, logprob in zip(chat, (-0.5, -1), strict=True):
        document["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": logprob}]}
    plain = {"choices": [{"text": "a", "finish_reason": "stop", "logprobs": {"token_logprobs": [None, -0.25]}}]}
    wild = b'{"choices":[{"text":"a","finish_reason":"stop","logprobs":{"token_logprobs":[-Infinity]}}]}'

    assert ask(stream(*chat)).response.logprobs == (-0.5, -1.0)
    assert ask(stream(plain), api="completions").response.logprobs == (-0.25,)
    assert ask(stream(wild), api="completions").response.logprobs is None


def test_answer_that_is_not_streamed() -> None:
    """A whole answer in JSON is an answer without token times."""
    message = {"role": "assistant", "content": "Hi there", "tool_calls": None}
    document = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}
    response = ask(Reply(pieces=(b" \n", json.dumps(document).encode()), headers={"content-type": "application/json"}))

    assert response.response.output == "Hi there"
    assert response.response.error is None
    assert (response.response.ttft_s, response.response.itl_s, response.response.tpot_s) == (None, None, None)
    assert response.response.total_s is not None
    assert response.response.output_tokens == 2


def test_empty_answer_is_an_answer() -> None:
    """A model may say nothing: the token that ends the answer is then its first."""
    response = ask(stream(chunk(role="assistant"), chunk("stop"), pause_s=0.005)).response

    assert (response.output, response.error, response.itl_s, response.tpot_s) == ("", None, (), None)
    assert response.ttft_s == response.total_s
