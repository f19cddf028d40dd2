"""The engine `openai` before a provider that filters content, over real HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from canary.records import ErrorKind, Guardrail
from tests.engines.conftest import Reply, ask, chunk, refuse, stream, words

SAFE = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "low"}}
VIOLENT = SAFE | {"violence": {"filtered": True, "severity": "high"}}


def of_prompt(results: Any) -> dict[str, Any]:
    """The first chunk of a stream: what the filter said of the prompt."""
    return {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": results}]}


def of_answer(results: Any, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """A chunk with what the filter said of a piece of the answer."""
    said = chunk(finish, **delta)
    said["choices"][0]["content_filter_results"] = results
    return said


def test_let_through() -> None:
    """Filters that ran and rejected nothing are a record without classes."""
    reply = stream(of_prompt(SAFE), of_answer({}, content="a"), of_answer(SAFE, content="b"), of_answer({}, "stop"))
    response = ask(reply).response

    assert (response.output, response.error) == ("ab", None)
    assert response.guardrail == Guardrail(classes=())


def test_an_answer_that_was_stopped() -> None:
    """The class comes with the chunk that ends it, and the reason is an error as before."""
    reply = stream(of_prompt(SAFE), of_answer(SAFE, content="a"), of_answer(VIOLENT, "content_filter"))
    response = ask(reply).response

    assert response.error is not None
    assert response.error.kind is ErrorKind.CONTENT_FILTER
    assert response.guardrail == Guardrail(classes=("violence",))


def test_a_whole_document() -> None:
    """A server that does not stream says it in one piece; jailbreaks and own lists of words are classes too."""
    lists = {"custom_blocklists": [{"filtered": True, "id": "mine"}], "jailbreak": {"filtered": True, "detected": True}}
    body = (
        b'{"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}], "prompt_filter_results": '
        b'[{"prompt_index": 0, "content_filter_results": '
    )
    reply = Reply(pieces=(body + json.dumps(lists).encode() + b"}]}",), headers={"content-type": "application/json"})

    assert ask(reply).response.guardrail == Guardrail(classes=("custom_blocklists", "jailbreak"))


def test_a_prompt_that_was_turned_away() -> None:
    """A 400 names the classes inside its inner error."""
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": VIOLENT}
    response = ask(refuse(400, {"code": "content_filter", "message": "filtered", "innererror": inner})).response

    assert response.error is not None
    assert response.error.kind is ErrorKind.CONTENT_FILTER
    assert response.guardrail == Guardrail(classes=("violence",))


@pytest.mark.parametrize(
    "reply",
    [
        words("a"),
        stream(of_prompt({"error": {"code": "content_filter_error"}}), chunk("stop", content="a")),
        stream(of_prompt(None), of_answer("?", "stop", content="a")),
        stream({"choices": [], "prompt_filter_results": 7}, chunk("stop", content="a")),
        stream(chunk("content_filter")),
        refuse(400, {"code": "content_filter"}),
    ],
    ids=["none", "filter failed", "odd", "odder", "no classes", "no inner error"],
)
def test_no_filter_is_no_record(reply: Reply) -> None:
    """What did not run, failed or cannot be read was not checked; that is not "let through"."""
    assert ask(reply).response.guardrail is None


def test_detected_is_not_rejected() -> None:
    """Only `filtered` counts, and names become names of signals."""
    detected = {"jailbreak": {"filtered": False, "detected": True}, "my list/1": {"filtered": True}}

    assert ask(stream(of_answer(detected, "stop", content="a"))).response.guardrail == Guardrail(classes=("my-list-1",))
