"""The engine `openai` over real HTTP: what is sent, and what a server turns out not to take."""

from __future__ import annotations

from typing import Any

import pytest

from canary.errors import ConfigError
from tests.engines.conftest import Reply, ask, ask_all, hello, in_turn, refuse, stream, words

pytestmark = pytest.mark.usefixtures("short_backoff")


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
