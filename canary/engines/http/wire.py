"""One request as the protocol writes it, and what servers take of it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from canary.errors import ConfigError
from canary.protocols import Request
from canary.release import OpenAIRelease

_QUIRKS = {
    "stream_options": re.compile(r"stream_options|include_usage"),
    "max_completion_tokens": re.compile(r"max_completion_tokens"),
    "seed": re.compile(r"\bseed\b"),
    "response_format": re.compile(r"response_format|json_schema|structured|guided|grammar", re.IGNORECASE),
}
"""What a server may reject that changes no answer: its field, and how its complaint is told."""


def write_body(release: OpenAIRelease, request: Request, quirks: Collection[str]) -> bytes:
    """The JSON to post; `extra_body` has the last word."""
    sampling = release.sampling
    tokens = "max_completion_tokens" if "max_completion_tokens" in quirks else "max_tokens"
    document: dict[str, Any] = {
        "model": release.model,
        **_prompt(release, request),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": True,
    }
    if "max_completion_tokens" not in release.extra_body:
        document[tokens] = sampling.max_tokens
    if sampling.stop:
        document["stop"] = sampling.stop
    if "stream_options" not in quirks:
        document["stream_options"] = {"include_usage": True}
    if "seed" not in quirks and (sampling.temperature > 0 or sampling.seed is not None):
        document["seed"] = request.seed
    if request.schema is not None and release.api == "chat" and "response_format" not in quirks:
        named = {"name": "verdict", "strict": True, "schema": request.schema}
        document["response_format"] = {"type": "json_schema", "json_schema": named}
    return json.dumps(document | release.extra_body).encode()


def find_quirk(release: OpenAIRelease, rejection: str, known: Collection[str]) -> str | None:
    """What this server rejected and can do without; None where that is not so.

    A field that the user wrote is never taken back.
    """
    written = {*release.extra_body, *(("seed",) if release.sampling.seed is not None else ())}
    for name, pattern in _QUIRKS.items():
        if name not in known and name not in written and pattern.search(rejection):
            return name
    return None


def _prompt(release: OpenAIRelease, request: Request) -> dict[str, Any]:
    if release.api == "completions":
        if request.text is None or request.tools:
            raise ConfigError(f"'api' must be chat: case '{request.id}' has chat turns or tools (got completions)")
        return {"prompt": request.text}
    messages = request.messages or ({"role": "user", "content": request.text or ""},)
    tools = {"tools": [dict(tool) for tool in request.tools]} if request.tools else {}
    return {"messages": [dict(message) for message in messages], **tools}
