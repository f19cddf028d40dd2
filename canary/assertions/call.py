"""Tool calls as models write them, read into one shape.

OpenAI's chat and responses formats, Anthropic's blocks, Google's parts, a bare
`{name, arguments}`; as the whole output, in a list, or a document a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from canary.assertions.document import Clock
from canary.assertions.is_json import decode

_NESTED = ("tool_calls", "content", "parts", "output", "message", "candidates", "choices")
_ARGUMENTS = ("arguments", "args", "input")


@dataclass(frozen=True, slots=True)
class Call:
    """One call; arguments that are no JSON object are kept as they stand."""

    name: str
    arguments: Any


def calls_in(output: str) -> list[Call]:
    """Every call, in order; none where the output is text."""
    try:
        return list(_calls(decode(output)))
    except ValueError:
        return [call for document in _lines(output) for call in _calls(document)]


def _lines(output: str) -> Iterator[Any]:
    """The documents that stand on lines of their own; TimeoutError where that takes too long."""
    clock = Clock()
    for line in output.splitlines():
        if line.lstrip()[:1] in {"{", "["}:
            clock.check("looking for tool calls")
            try:
                yield decode(line)
            except ValueError:
                continue


def _calls(document: Any) -> Iterator[Call]:
    if isinstance(document, list):
        for item in document:
            yield from _calls(item)
    elif isinstance(document, Mapping):
        yield from _of_object(document)


def _of_object(document: Mapping[str, Any]) -> Iterator[Call]:
    for key in ("function", "functionCall", "function_call"):
        inner = document.get(key)
        if isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
            yield _call(inner)
            return
    if isinstance(document.get("name"), str) and any(key in document for key in _ARGUMENTS):
        yield _call(document)
        return
    for key in _NESTED:
        if isinstance(document.get(key), list | Mapping):
            yield from _calls(document[key])


def _call(document: Mapping[str, Any]) -> Call:
    arguments: Any = next((document[key] for key in _ARGUMENTS if key in document), {})
    if isinstance(arguments, str):
        with suppress(ValueError):
            arguments = decode(arguments) if arguments.strip() else {}
    return Call(name=document["name"], arguments=arguments)
