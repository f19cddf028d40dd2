"""Token counts, wherever a server puts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from canary.bounds import MOST_TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """What a server says it read and wrote; None is what it does not say."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    """Part of `input`."""


def find_usage(document: Mapping[str, Any]) -> TokenCounts | None:
    """The usage in one chunk or answer, None where there is none."""
    for place in _places(document):
        usage = _read(place)
        if usage.input is not None or usage.output is not None:
            return usage
    return None


def _places(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The standard place first, then those of Groq, Moonshot and llama.cpp."""
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    groq = document.get("x_groq")
    places = (
        document.get("usage"),
        groq.get("usage") if isinstance(groq, dict) else None,
        first.get("usage") if isinstance(first, dict) else None,
        document.get("timings"),
    )
    return [place for place in places if isinstance(place, dict)]


def _read(place: Mapping[str, Any]) -> TokenCounts:
    details = [place.get(key) for key in ("prompt_tokens_details", "input_tokens_details")]
    nested = [_count(each, "cached_tokens") for each in details if isinstance(each, dict)]
    flat = _count(place, "cached_tokens", "prompt_cache_hit_tokens", "cache_n")
    fresh = _count(place, "prompt_n")
    cached = next((each for each in (*nested, flat) if each is not None), None)
    return TokenCounts(
        input=_count(place, "prompt_tokens", "input_tokens") if fresh is None else fresh + (cached or 0),
        output=_count(place, "completion_tokens", "output_tokens", "predicted_n"),
        cached=cached,
    )


def _count(place: Mapping[str, Any], *names: str) -> int | None:
    """None for more than a request can have: a server that says so says nothing."""
    for name in names:
        value = place.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
            return value
    return None
