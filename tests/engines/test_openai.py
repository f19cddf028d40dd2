"""The engine `openai` over real HTTP: what is sent, and answers however a server writes them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from canary.engines.http.exchange import FAREWELL_S
from canary.errors import ConfigError
from canary.records import ErrorKind
from tests.engines.conftest import Reply, ask, ask_all, chunk, event, hello, in_turn, refuse, stream, words

pytestmark = pytest.mark.usefixtures("short_backoff")

USAGE = {"prompt_tokens": 7, "completion_tokens": 2}


# What is sent


def test_chat_request() -> None:
    """A text becomes one user turn, with the release's sampling and a streamed answer with usage."""
    (seen,) = ask(words("Hi"), sampling={"temperature": 0, "max_tokens": 9, "stop": ["\n"]}).server.seen

    assert seen.path == "/v1/chat/completions"
    assert seen.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 9,
        "stop": ["\n"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_turns_and_tools() -> None:
    """A case's turns and tools go as they are."""
    turns = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"})
    tool = {"type": "function", "function": {"name": "buy"}}
    (seen,) = ask(words("Hi"), request=hello(messages=turns, text=None, tools=(tool,))).server.seen

    assert (seen.body["messages"], seen.body["tools"]) == (list(turns), [tool])


def test_completions_request() -> None:
    """The completions API gets the bare text and streams text."""
    reply = stream({"choices": [{"text": " wor"}]}, {"choices": [{"text": "ld", "finish_reason": "stop"}]})
    outcome = ask(reply, api="completions")

    assert outcome.server.seen[0].path == "/v1/completions"
    assert outcome.server.seen[0].body["prompt"] == "Hello"
    assert outcome.response.output == " world"


def test_completions_cannot_take_turns() -> None:
    """Chat turns for the completions API are the user's mistake, named with the case."""
    turns = ({"role": "user", "content": "Hello"},)
    with pytest.raises(ConfigError, match="'api' must be chat: case 'case-0' has chat turns or tools"):
        ask(words("Hi"), request=hello(messages=turns, text=None), api="completions")


def test_extra_body_has_the_last_word() -> None:
    """Extra fields are passed through untouched, and override ours."""
    extra = {"temperature": 1, "top_k": 3, "max_completion_tokens": 4}
    body = ask(words("Hi"), extra_body=extra).server.seen[0].body

    assert body.items() >= extra.items()
    assert "max_tokens" not in body


@pytest.mark.parametrize(
    ("sampling", "seed"),
    [({"temperature": 0}, None), ({"temperature": 1}, 11), ({"temperature": 1, "seed": 5}, 11), ({"seed": 5}, 11)],
)
def test_seed(sampling: dict[str, Any], seed: int | None) -> None:
    """The request's own seed where tokens are drawn, or where the release asks for one."""
    (seen,) = ask(words("Hi"), request=hello(repeat=2), sampling=sampling).server.seen

    assert seen.body.get("seed") == seed


def test_base_url_with_query_and_path() -> None:
    """The API's path is put before a query, and not twice."""

    def path(base: str) -> str:
        return ask(words("Hi"), base=base).server.seen[0].path

    assert path("/v1/") == "/v1/chat/completions"
    assert path("/azure/m/?api-version=3") == "/azure/m/chat/completions?api-version=3"
    assert path("/v1/chat/completions") == "/v1/chat/completions"


def test_connections_are_kept() -> None:
    """One after the other, requests share one connection, those that failed too; no cookie is taken."""
    replies = (words("a", headers={"set-cookie": "replica=3"}), refuse(400, {"code": "context_length_exceeded"}))
    outcome = ask_all(in_turn(*replies, words("b")), [hello(n) for n in range(4)])

    assert {seen.connection for seen in outcome.server.seen} == {1}
    assert not any("cookie" in seen.headers for seen in outcome.server.seen)


def test_pool_is_as_large_as_the_demand() -> None:
    """Requests sent together do not wait for one another's connection."""
    outcome = ask_all(in_turn(words("a", pause_s=0.05)), [hello(n) for n in range(120)], at_once=120)

    assert len({seen.connection for seen in outcome.server.seen}) == 120


# What this server does not take


@pytest.mark.parametrize(
    ("field", "error"),
    [
        ("stream_options", {"message": "Unrecognized request argument supplied: stream_options"}),
        ("stream_options", b'{"detail":[{"loc":["body","stream_options","include_usage"],"type":"extra_forbidden"}]}'),
        ("seed", {"message": "Unknown field: seed"}),
    ],
)
def test_rejected_fields_are_left_out(field: str, error: Any) -> None:
    """A field that only we want is left out once the server rejects it, for the rest of the run."""
    script = in_turn(refuse(422, error), words("a"))
    outcome = ask_all(script, [hello(0), hello(1)], sampling={"temperature": 1})

    assert [field in seen.body for seen in outcome.server.seen] == [True, False, False]
    assert [response.output for response in outcome.responses] == ["a", "a"]
    assert [len(response.attempts) for response in outcome.responses] == [2, 1]


def test_a_schema_is_enforced_where_the_server_can() -> None:
    """As `response_format`, in chats only; a server that rejects it is asked without."""
    request = hello(schema={"type": "object"})
    (seen,) = ask(words("a"), request=request).server.seen
    assert seen.body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert seen.body["response_format"]["json_schema"]["strict"] is True

    rejected = ask(
        refuse(400, {"message": "response_format of type json_schema is not supported"}), words("a"), request=request
    )
    assert ["response_format" in each.body for each in rejected.server.seen] == [True, False]
    assert rejected.response.output == "a"

    (seen,) = ask(
        stream({"choices": [{"text": "a", "finish_reason": "stop"}]}), request=request, api="completions"
    ).server.seen
    assert "response_format" not in seen.body


def test_max_completion_tokens() -> None:
    """Newer models of OpenAI want the limit under another name."""
    said = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    outcome = ask(refuse(400, {"message": said, "code": "unsupported_parameter"}), words("a"))

    assert outcome.server.seen[1].body["max_completion_tokens"] == 256
    assert "max_tokens" not in outcome.server.seen[1].body
    assert outcome.response.output == "a"


def test_two_requests_learn_together() -> None:
    """Requests in flight while the field was learned are repeated without it, too."""

    def script(seen: Any) -> Reply:
        return refuse(400, {"message": "stream_options?"}) if "stream_options" in seen.body else words("a")

    outcome = ask_all(script, [hello(n) for n in range(4)], at_once=4)

    assert [response.output for response in outcome.responses] == ["a"] * 4


# How it is answered


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


def test_one_token_has_no_tpot() -> None:
    """Time per token after the first is undefined for one token."""
    response = ask(words("Hi")).response

    assert (response.tpot_s, response.itl_s) == (None, ())


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


@pytest.mark.parametrize(
    ("place", "tokens"),
    [
        ({"choices": [], "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}}, (7, 2, 4)),
        ({"x_groq": {"usage": USAGE}}, (7, 2, None)),
        ({"choices": [{"delta": {}, "usage": {**USAGE, "cached_tokens": 4}}]}, (7, 2, 4)),
        ({"usage": {**USAGE, "prompt_cache_hit_tokens": 4}}, (7, 2, 4)),
        ({"usage": {"input_tokens": 7, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 0}}}, (7, 2, 0)),
        ({"timings": {"prompt_n": 3, "cache_n": 4, "predicted_n": 2}}, (7, 2, 4)),
        ({"usage": {"prompt_tokens": "7", "completion_tokens": -2}}, (None, None, None)),
        ({"usage": {"prompt_tokens": 10**400, "completion_tokens": 10**12}}, (None, None, None)),
        ({"usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 10**400}}}, (7, 2, None)),
    ],
)
def test_places_of_usage(place: dict[str, Any], tokens: tuple[int | None, ...]) -> None:
    """Token counts are found wherever a server puts them, and never guessed."""
    response = ask(stream(chunk(content="Hi"), chunk("stop"), place)).response

    assert (response.input_tokens, response.output_tokens, response.cached_tokens) == tokens


def test_usage_in_every_chunk() -> None:
    """The last of several counts is the count."""
    first = {**chunk(content="H"), "usage": {"prompt_tokens": 7, "completion_tokens": 1}}
    last = {**chunk("stop", content="i"), "usage": USAGE}

    assert ask(stream(first, last, {"choices": [], "usage": None})).response.output_tokens == 2


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


def test_tokens_in_one_piece_have_no_pace() -> None:
    """Where a server sends all tokens at once, the time per token was not measured; it is not zero."""
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    response = ask(words("a b c d e", usage=usage)).response

    assert (response.itl_s, response.tpot_s, response.output_tokens) == ((), None, 5)


# What it cost


PRICE = {"input_per_million": 1.0, "output_per_million": 10.0, "cached_input_per_million": 0.5}


def test_cost() -> None:
    """(7 - 4) fresh x 1 + 4 cached x 0.5 + 2 written x 10 = 25 millionths."""
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}

    assert ask(words("a", "b", usage=usage), price=PRICE).response.cost_usd == pytest.approx(25e-6)


def test_cost_without_usage_is_unknown() -> None:
    """An answer whose tokens nobody counted has no cost; nor has a release without a price."""
    assert ask(stream(chunk(content="Hi"), chunk("stop")), price=PRICE).response.cost_usd is None
    assert ask(words("Hi")).response.cost_usd is None


def test_every_try_is_billed() -> None:
    """A request turned away costs nothing; one accepted that broke before its first token costs its prompt."""
    turned_away = ask(refuse(503, "busy"), words("a", "b"), price=PRICE).response
    broken = ask(stream(chunk(role="assistant"), done=False, end="cut"), words("a", "b"), price=PRICE).response

    assert [attempt.cost_usd for attempt in turned_away.attempts] == pytest.approx([0.0, 27e-6])
    assert turned_away.cost_usd == pytest.approx(27e-6)
    assert [attempt.cost_usd for attempt in broken.attempts] == pytest.approx([7e-6, 27e-6])
    assert broken.cost_usd == pytest.approx(34e-6)


def test_cost_of_a_cut_answer_is_unknown() -> None:
    """Unless the server counted as it went."""
    counted = {**chunk(content="Hi"), "usage": {"prompt_tokens": 7, "completion_tokens": 1}}

    assert ask(stream(chunk(content="Hi"), done=False, end="cut"), price=PRICE).response.cost_usd is None
    assert ask(stream(counted, done=False, end="cut"), price=PRICE).response.cost_usd == pytest.approx(17e-6)


def test_half_a_usage_is_no_cost() -> None:
    """A server that counts only what it wrote does not say what the answer cost."""
    response = ask(words("a", usage={"completion_tokens": 1}), price=PRICE).response

    assert (response.input_tokens, response.output_tokens, response.cost_usd) == (None, 1, None)


def test_more_cached_than_read() -> None:
    """A server that counts more cached than read tokens does not make the answer cheaper than free."""
    usage = {"prompt_tokens": 4, "completion_tokens": 0, "cached_tokens": 90}

    assert ask(words("a", usage=usage), price=PRICE).response.cost_usd == pytest.approx(2e-6)


def test_truncated_answer_is_kept_and_billed() -> None:
    """An answer cut at max_tokens is an error with its output, its tokens and its cost."""
    response = ask(words("a", "b", finish="length"), price=PRICE).response

    assert response.error is not None
    assert response.error.kind is ErrorKind.TRUNCATED
    assert "raise 'sampling.max_tokens'" in response.error.message
    assert (response.output, response.output_tokens) == ("ab", 2)
    assert response.cost_usd == pytest.approx(27e-6)
