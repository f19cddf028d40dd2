"""The engine `openai` over real HTTP: what it is told in confidence stays with it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from pydantic import ValidationError

from canary.engines.http.endpoint import read_endpoint
from canary.engines.openai import open_release
from canary.errors import ConfigError, EngineError
from canary.records import Arm
from canary.release import OpenAIRelease
from tests.engines.conftest import Reply, ask, chunk, event, refuse, release, stream, words

pytestmark = pytest.mark.usefixtures("short_backoff")

KEY = "sk-TopSecret-0123456789"
TOKEN = "gateway-token-987"


def test_secrets_are_sent() -> None:
    """The key goes as a bearer token, headers go as written, and override ours; line ends are no part of them."""
    headers = {"X-Gateway-Token": f"{TOKEN} ", "User-Agent": "mine"}
    (seen,) = ask(words("Hi"), api_key=f"{KEY}\n", headers=headers).server.seen

    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert (seen.headers["x-gateway-token"], seen.headers["user-agent"]) == (TOKEN, "mine")


def test_a_header_may_replace_the_key() -> None:
    """A header of the user's own stands in place of ours."""
    (seen,) = ask(words("Hi"), api_key=KEY, headers={"Authorization": "Token x"}).server.seen

    assert seen.headers["authorization"] == "Token x"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://ann:TopSecret@localhost:1", "must hold no credentials: they go into 'api_key' or 'headers'"),
        ("http://localhost:1/v1?api-key=TopSecret", "must hold no credentials: they go into 'api_key' or 'headers'"),
        ("ftp://ann:TopSecret@x", "must start with http:// or https:// and name a host"),
        ("http://ann:TopSecret@", "must start with http:// or https:// and name a host"),
        ("http://[::TopSecret", "must be a URL"),
    ],
)
def test_urls_hold_no_secret(url: str, problem: str) -> None:
    """A URL stands in plans and messages, so that none may be in it; the refusal does not repeat it."""
    with pytest.raises(ValidationError) as refused:
        release(url)

    assert f"'base_url' {problem}" in str(refused.value)
    assert "TopSecret" not in str(refused.value)


@pytest.mark.parametrize("padding", [0, 470])
def test_server_that_repeats_a_secret(padding: int) -> None:
    """A server's message is shown without secrets, wherever it is cut."""
    said = f"{'x' * padding} bad key {KEY} and {TOKEN}"
    with pytest.raises(EngineError) as stopped:
        ask(refuse(401, {"message": said}), api_key=KEY, headers={"X-A": f"Bearer {TOKEN}"})

    assert "bad key ***" in str(stopped.value)
    assert "TopSecret" not in str(stopped.value)
    assert "gateway" not in str(stopped.value)
    assert stopped.value.__cause__ is None


@pytest.mark.parametrize(
    "reply",
    [
        refuse(500, {"message": f"key {KEY}"}),
        refuse(500, f"key {KEY}".encode()),
        stream({"error": {"message": f"key {KEY}"}}),
        stream(f"key {KEY}".encode()),
        Reply(pieces=(event({"choices": f"key {KEY}"}),)),
        words(f"key {KEY}"),
        stream(chunk(tool_calls=[{"index": 0, "function": {"name": KEY, "arguments": "{}"}}]), chunk("stop")),
    ],
)
def test_responses_hold_no_secret(reply: Reply) -> None:
    """Neither failures nor outputs show the key, even where the server repeats it."""
    response = ask(reply, api_key=KEY).response

    assert "TopSecret" not in repr(response)
    assert "***" in repr(response)


def test_an_output_may_name_a_tenant() -> None:
    """Headers that are no credentials do not change what a model says."""
    headers = {"Accept": "application/json", "X-Tenant": "northwind"}

    assert ask(words("northwind speaks application/json"), headers=headers).response.output == (
        "northwind speaks application/json"
    )


def test_logs_hold_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is logged, by us or by the libraries under us, holds no secret."""
    with caplog.at_level(logging.DEBUG):
        ask(refuse(429, {"message": KEY}), api_key=KEY, headers={"X-Token": TOKEN}, timeout_s=1)

    assert caplog.messages
    assert not any("TopSecret" in message or TOKEN in message for message in caplog.messages)


def test_reprs_hold_no_secret() -> None:
    """Neither the release nor its endpoint shows them."""
    shown = release("http://localhost", api_key=KEY, headers={"X-Token": TOKEN})

    assert "TopSecret" not in repr(shown) + repr(read_endpoint(shown)) + shown.model_dump_json()
    assert TOKEN not in repr(shown) + repr(read_endpoint(shown)) + json.dumps(shown.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"api_key": "sk-\u2026TopSecret"}, "'api_key' must be printable ASCII"),
        ({"headers": {"X-A": "a\r\nTopSecret: b"}}, "'headers.X-A' must be printable ASCII"),
        ({"headers": {"X A": "TopSecret"}}, "'headers' holds no header's name: 'X A'"),
        ({"extra_body": {"x": float("nan")}}, "'extra_body' must be JSON: Out of range float values"),
    ],
)
def test_what_cannot_be_sent(fields: dict[str, Any], problem: str) -> None:
    """It is told before anything is sent, without the secret."""
    with pytest.raises(ConfigError) as stopped:
        read_endpoint(OpenAIRelease.model_validate({"engine": "openai", "name": "v2", "model": "m"} | fields))

    assert str(stopped.value).startswith(problem)
    assert "TopSecret" not in str(stopped.value)


def test_every_problem_at_once() -> None:
    """All that is wrong is told together."""
    with pytest.raises(ConfigError) as stopped:
        read_endpoint(release("http://h", api_key="\u2026", headers={"X-A": "\u2026"}, extra_body={"x": float("inf")}))

    assert len(stopped.value.problems) == 3


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "a.localhost", "127.3.2.1"])
def test_no_proxy_for_this_machine(host: str) -> None:
    """A proxy in the environment is no way to this machine."""
    assert read_endpoint(release(f"http://{host}:8000")).is_local


def test_proxy_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other machines are asked through the environment's proxy; one that cannot be used is told."""
    monkeypatch.setenv("ALL_PROXY", "gopher://nowhere:1")

    async def scenario(url: str) -> None:
        async with open_release(release(url), Arm.BASELINE):
            pass

    asyncio.run(scenario("http://127.0.0.1:9"))
    with pytest.raises(EngineError, match=r"cannot open a client for http://example.com/v1/chat/completions"):
        asyncio.run(scenario("http://example.com"))


def test_unknown_field_in_a_release() -> None:
    """A release with a misspelt key is refused before any engine sees it, without its secrets."""
    with pytest.raises(ValidationError) as stopped:
        release("http://h", api_key=KEY, hedaers={})

    assert "TopSecret" not in str(stopped.value)
