"""Answers that were recorded before, by any system at all.

A line per response, `id` and `output` are enough. The lines of a run's own
`responses.jsonl` are read too: they name their `arm`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from canary.bounds import LONGEST_S, Count, Moment, Money, Seconds, Share
from canary.errors import EvidenceError
from canary.protocols import Generate, Request
from canary.records import Arm, Attempt, ErrorKind, Failure, Guardrail, Response
from canary.release import ReplayRelease
from canary.series import Packed
from canary.validation import PAST_THE_LINE, RepeatedKeyError, nearest, require_distinct_keys

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_BOM = b"\xef\xbb\xbf"

_Id = Annotated[str, Field(min_length=1)] | Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Metric = Annotated[str, Field(min_length=1)]
_Class = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)]


@with_config(_STRICT)
class _Error(TypedDict):
    kind: ErrorKind
    message: NotRequired[str]


@with_config(_STRICT)
class _Try(TypedDict):
    seconds: Seconds
    error: NotRequired[_Error | None]
    cost_usd: NotRequired[Money | None]


@with_config(_STRICT)
class _Guardrail(TypedDict):
    classes: tuple[_Class, ...]
    seconds: NotRequired[Seconds | None]


@with_config(_STRICT)
class _Line(TypedDict):
    """One line; an integer `id` is read as its decimal text."""

    id: _Id
    arm: NotRequired[Arm]
    repeat: NotRequired[Count]
    output: NotRequired[str | None]
    error: NotRequired[_Error | None]
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
    guardrail: NotRequired[_Guardrail | None]
    attempts: NotRequired[tuple[_Try, ...]]


_LINE = TypeAdapter(_Line)

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


def read_responses(path: str | Path, arm: Arm) -> tuple[Response, ...]:
    """The recorded answers of one arm, in the order of the file.

    Lines that name another arm are checked and left out. Raises EvidenceError
    with every problem of the file.
    """
    return _read(_Reading(Path(path), arm, _lacks_answer, [], {}, {}))


def read_traffic(path: str | Path, arm: Arm) -> tuple[Response, ...]:
    """One arm's responses to traffic routed at random: `output` is optional, `started_at` is not.

    Raises EvidenceError with every problem of the file.
    """
    return _read(_Reading(Path(path), arm, _lacks_clock, [], {}, {}))


def _lacks_answer(response: Response, line: _Line) -> str | None:
    told = response.error is not None or line.get("output") is not None
    return None if told else "'output' is missing, and no 'error' says why"


def _lacks_clock(response: Response, line: _Line) -> str | None:
    if response.started_at is None:
        return "'started_at' is missing: traffic is compared by the time it was served"
    if line.get("repeat"):
        return f"'repeat' must not stand in traffic, where no request is asked twice (got {response.repeat})"
    if response.share == 1 and response.arm is Arm.BASELINE:
        return "'share' must be below 1 for the baseline, which would have got no request (got 1.0)"
    return None


def _read(reading: _Reading) -> tuple[Response, ...]:
    path, arm = reading.path, reading.arm
    try:
        with path.open("rb") as lines:
            responses = tuple(reading.responses(lines))
    except OSError as error:
        raise EvidenceError(f"{path}: cannot be read: {error.strerror}") from error
    if not responses and not reading.problems:
        found = f"no line of arm '{arm}'" if reading.arms else "no responses: the file is empty"
        raise EvidenceError(f"{path}: {found}")
    if len(reading.arms) > 1 and None in reading.arms:
        number = reading.arms[None]
        reading.problems.append(f"{path}:{number}: 'arm' is missing, though other lines have it")
    if reading.problems:
        raise EvidenceError(reading.problems)
    return responses


@asynccontextmanager
async def open_release(release: ReplayRelease, arm: Arm) -> AsyncIterator[Generate]:
    """Yields a lookup by (id, repeat); None where nothing is recorded."""
    recorded = {(response.id, response.repeat): response for response in read_responses(release.responses, arm)}

    async def generate(request: Request) -> Response | None:
        return recorded.get((request.id, request.repeat))

    yield generate


@dataclass(frozen=True, slots=True)
class _Reading:
    """One pass over a file; collects the problems on its way."""

    path: Path
    arm: Arm
    lacks: Callable[[Response, _Line], str | None]
    """What else is wrong with a line that is well-formed."""
    problems: list[str]
    seen: dict[tuple[str, int], int]
    """Line number of each (id, repeat)."""
    arms: dict[Arm | None, int]
    """First line number of each arm named; None for lines that name none."""

    def responses(self, lines: Iterator[bytes]) -> Iterator[Response]:
        for number, raw in enumerate(lines, 1):
            text = raw.removeprefix(_BOM) if number == 1 else raw
            if not text.strip():
                continue
            try:
                line = _LINE.validate_json(text)
                require_distinct_keys(text, line)
            except ValidationError as error:
                self.problems.extend(f"{self.path}:{number}: {problem}" for problem in _problems(text, error))
                continue
            except RepeatedKeyError as error:
                self.problems.append(f"{self.path}:{number}: {error}")
                continue
            if (response := self.response(line, number)) is not None:
                yield response

    def response(self, line: _Line, number: int) -> Response | None:
        arm = line.pop("arm", None)
        self.arms.setdefault(arm, number)
        if arm not in (None, self.arm):
            return None
        response = _response(line, self.arm)
        first = self.seen.setdefault((response.id, response.repeat), number)
        if first != number:
            again = f"'id' {_shown(response.id)} with 'repeat' {response.repeat} is already on line {first}"
            self.problems.append(f"{self.path}:{number}: {again}")
        if lacking := self.lacks(response, line):
            self.problems.append(f"{self.path}:{number}: {lacking}")
        return response


def _response(line: _Line, arm: Arm) -> Response:
    fields: dict[str, Any] = {**line, "arm": arm, "id": str(line["id"])}
    if fields.get("output") is None:
        fields["output"] = ""
    if error := line.get("error"):
        fields["error"] = _failure(error)
    if guardrail := line.get("guardrail"):
        fields["guardrail"] = Guardrail(classes=guardrail["classes"], seconds=guardrail.get("seconds"))
    if attempts := line.get("attempts"):
        fields["attempts"] = tuple(map(_attempt, attempts))
    return Response(**fields)


def _failure(error: _Error) -> Failure:
    return Failure(kind=error["kind"], message=error.get("message", ""))


def _attempt(line: _Try) -> Attempt:
    error = line.get("error")
    return Attempt(
        seconds=line["seconds"],
        error=_failure(error) if error else None,
        cost_usd=line.get("cost_usd"),
    )


def _problems(text: bytes, error: ValidationError) -> Iterator[str]:
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
                yield f"a line must be a JSON object (got {_shown(problem['input'])})"
            case _ if (name := _name(problem["loc"])) not in told:
                told.add(name)
                yield f"'{name}' must be {_must(problem['loc'])} (got {_shown(problem['input'])})"


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
    parents = [str(part) for part in loc[:-1] if isinstance(part, str)]
    kind: Any = (
        {"error": _Error, "attempts": _Try, "guardrail": _Guardrail}.get(parents[-1], _Line) if parents else _Line
    )
    valid: Mapping[str, Any] = kind.__annotations__
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


def _shown(value: Any) -> str:
    """A short, printable form of what was found."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
