"""One recorded response: what a line may hold, and what is wrong with one that is none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from canary.bounds import LONGEST_S, Count, Moment, Money, Seconds, Share
from canary.records import Arm, ErrorKind
from canary.series import Packed
from canary.validation import PAST_THE_LINE, nearest
from canary.written import ClassName

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

_Id = Annotated[str, Field(min_length=1)] | Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Metric = Annotated[str, Field(min_length=1)]


@with_config(_STRICT)
class ErrorPart(TypedDict):
    """Why there is no answer."""

    kind: ErrorKind
    message: NotRequired[str]


@with_config(_STRICT)
class TryPart(TypedDict):
    """One try of a request."""

    seconds: Seconds
    error: NotRequired[ErrorPart | None]
    cost_usd: NotRequired[Money | None]


@with_config(_STRICT)
class GuardrailPart(TypedDict):
    """What a check of content said."""

    classes: tuple[ClassName, ...]
    seconds: NotRequired[Seconds | None]


@with_config(_STRICT)
class ResponseLine(TypedDict):
    """One line; an integer `id` is read as its decimal text."""

    id: _Id
    arm: NotRequired[Arm]
    repeat: NotRequired[Count]
    output: NotRequired[str | None]
    error: NotRequired[ErrorPart | None]
    ttft_s: NotRequired[Seconds | None]
    itl_s: NotRequired[Packed[Seconds] | None]
    tpot_s: NotRequired[Seconds | None]
    total_s: NotRequired[Seconds | None]
    input_tokens: NotRequired[Count | None]
    output_tokens: NotRequired[Count | None]
    cached_tokens: NotRequired[Count | None]
    cost_usd: NotRequired[Money | None]
    finish_reason: NotRequired[str | None]
    logprobs: NotRequired[Packed[float] | None]
    started_at: NotRequired[Moment | None]
    scheduled_at: NotRequired[Moment | None]
    session: NotRequired[str | None]
    tenant: NotRequired[str | None]
    stratum: NotRequired[Annotated[str, Field(min_length=1)] | None]
    share: NotRequired[Annotated[Share, Field(gt=0)] | None]
    scores: NotRequired[dict[_Metric, Share | bool] | None]
    guardrail: NotRequired[GuardrailPart | None]
    attempts: NotRequired[tuple[TryPart, ...]]


LINE = TypeAdapter(ResponseLine)

_SECONDS = f"a number of seconds ≥ 0 and ≤ {LONGEST_S:.0f}"
_TOKENS = "a whole number ≥ 0"
_MONEY = "a number of US dollars ≥ 0"
_CLASS = "the name of a class, 1 to 100 letters, digits, or any of _ . -"
_MUST = {
    "id": "a non-empty text or a whole number",
    "arm": "baseline or candidate",
    "repeat": _TOKENS,
    "error": "an object {kind, message}",
    "error.kind": f"one of {', '.join(ErrorKind)}",
    "ttft_s": _SECONDS,
    "itl_s": f"a list, each {_SECONDS}",
    "tpot_s": _SECONDS,
    "total_s": _SECONDS,
    "input_tokens": _TOKENS,
    "output_tokens": _TOKENS,
    "cached_tokens": _TOKENS,
    "cost_usd": _MONEY,
    "logprobs": "a list of finite numbers",
    "started_at": "seconds since 1970",
    "scheduled_at": "seconds since 1970",
    "stratum": "a non-empty text",
    "share": "the candidate's assigned share, a number above 0 and at most 1",
    "scores": "an object {metric: number from 0 to 1, or true or false}",
    "scores.*": "a number from 0 to 1, or true or false",
    "guardrail": "an object {classes, seconds}",
    "guardrail.classes": f"a list, each {_CLASS}",
    "guardrail.seconds": _SECONDS,
    "attempts": "a list, each an object {seconds, error, cost_usd}",
    "attempts.seconds": _SECONDS,
    "attempts.cost_usd": _MONEY,
}
"""What each key must be; any other key must be text."""


def problems_of(text: bytes, error: ValidationError) -> Iterator[str]:
    """What is wrong with one line, each key once."""
    told = set()
    for problem in error.errors(include_url=False, include_context=True):
        match problem["type"]:
            case "json_invalid":
                yield _unreadable(text, problem["ctx"]["error"])
            case "missing":
                yield f"'{_name(problem['loc'])}' is missing"
            case "extra_forbidden":
                yield _unknown(problem["loc"])
            case _ if not problem["loc"]:
                yield f"a line must be a JSON object (got {shown(problem['input'])})"
            case _ if (name := _name(problem["loc"])) not in told:
                told.add(name)
                yield f"'{name}' must be {_must(problem['loc'])} (got {shown(problem['input'])})"


def _unreadable(text: bytes, cause: str) -> str:
    torn = not text.endswith(b"\n")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        if torn and error.reason == "unexpected end of data":
            return "the last line is torn in the middle of a character; its writer was cut off"
        return f"must be UTF-8 (got byte 0x{text[error.start]:02x} at column {error.start + 1})"
    cause = cause.replace(" at line 1 column ", " at column ")
    if torn and cause.startswith("EOF"):
        return f"the last line is torn: {cause}; its writer was cut off"
    if cause.endswith(PAST_THE_LINE):
        return "is cut off: the line ends in the middle of a response"
    return f"must be a JSON object: {cause}"


def _unknown(loc: tuple[int | str, ...]) -> str:
    """Names the key, and the valid one that looks most like it."""
    parents = ["", *(str(part) for part in loc[:-1] if isinstance(part, str))]
    parts: dict[str, Any] = {"error": ErrorPart, "attempts": TryPart, "guardrail": GuardrailPart}
    valid: Mapping[str, Any] = parts.get(parents[-1], ResponseLine).__annotations__
    near = nearest(str(loc[-1]), valid)
    remedy = f"did you mean '{near}'?" if near else f"valid: {', '.join(valid)}"
    return f"unknown key '{_name(loc)}' ({remedy})"


def _keys(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The place in the document: without the tags of the union tried there."""
    return loc[: {"id": 1, "scores": 2}.get(str(loc[0]), len(loc))]


def _name(loc: tuple[int | str, ...]) -> str:
    """The key as a path; control characters escaped."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in _keys(loc))
    return json.dumps("".join(parts).removeprefix("."))[1:-1]


def _must(loc: tuple[int | str, ...]) -> str:
    keys = _keys(loc)
    if keys[0] == "scores":
        return _MUST["scores.*" if len(keys) > 1 else "scores"]
    if keys[:2] == ("guardrail", "classes") and len(keys) > 2:
        return _CLASS
    if keys[0] in ("itl_s", "logprobs") and len(keys) > 1:
        return _SECONDS if keys[0] == "itl_s" else "a finite number"
    dotted = ".".join(part for part in keys if isinstance(part, str))
    return _MUST.get(dotted) or _MUST.get(dotted.removeprefix("attempts."), "text")


def shown(value: Any) -> str:
    """A short, printable form of what was found."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
