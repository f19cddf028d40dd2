"""What a provider's own content filter says, as Azure OpenAI and gateways like it write it.

Each class is an object with `filtered`: `content_filter_results` of a choice,
in `prompt_filter_results` of the prompt, and `innererror.content_filter_result`
of a request that was turned away. Only what was filtered is a rejection; what
was merely detected was let through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from canary.records import Guardrail

_PROMPT = ("prompt_filter_results", "prompt_annotations")
RESULT = "content_filter_result"
"""What every place of results has in its name."""
_RESULTS = (RESULT, f"{RESULT}s")
_INNER = ("innererror", "inner_error")
_LONGEST = 100


def read_guardrail(body: str) -> Guardrail | None:
    """What the body of a request that was turned away says; None where it is of another kind."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return find_guardrail(document) if isinstance(document, dict) else None


def find_guardrail(document: Mapping[str, Any]) -> Guardrail | None:
    """What one chunk, answer or error says; None where no filter ran."""
    found = [results for place in _places(document) for results in _objects([place.get(key) for key in _RESULTS])]
    classes = {_plain(name) for results in found for name, said in results.items() if _is_filtered(said)}
    has_run = any(results and "error" not in results for results in found)
    return Guardrail(classes=tuple(sorted(classes))) if classes or has_run else None


def merged(one: Guardrail | None, other: Guardrail | None) -> Guardrail | None:
    """Both, as of one request: a stream speaks of its prompt first, then of each piece."""
    if one is None or other is None:
        return one or other
    return Guardrail(classes=tuple(sorted({*one.classes, *other.classes})))


def _places(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What may carry results: each prompt, the first choice, and an error with its inner one."""
    for key in _PROMPT:
        yield from _objects(document.get(key))
    yield from (choice for choice in _objects(document.get("choices")) if choice.get("index") in (None, 0))
    error = document.get("error")
    if isinstance(error, dict):
        yield error
        yield from _objects([error.get(key) for key in _INNER])


def _objects(found: Any) -> Iterator[Mapping[str, Any]]:
    listed = found if isinstance(found, list) else []
    yield from (each for each in listed if isinstance(each, dict))


def _is_filtered(said: Any) -> bool:
    """A class is an object; the customer's own lists of words are one, or a list of them."""
    each = said if isinstance(said, list) else [said]
    return any(isinstance(one, dict) and one.get("filtered") is True for one in each)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:_LONGEST] or "-"
