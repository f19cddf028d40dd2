"""Answers that were recorded before, by any system at all.

A line per response, `id` and `output` are enough. The lines of a run's own
`responses.jsonl` are read too: they name their `arm`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from canary.engines.replay.line import LINE, ErrorPart, ResponseLine, TryPart, problems_of, shown
from canary.errors import EvidenceError
from canary.protocols import Generate, Request
from canary.records import Arm, Attempt, Failure, Guardrail, Response
from canary.release import ReplayRelease
from canary.validation import RepeatedKeyError, require_distinct_keys

_BOM = b"\xef\xbb\xbf"


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


def _lacks_answer(response: Response, line: ResponseLine) -> str | None:
    told = response.error is not None or line.get("output") is not None
    return None if told else "'output' is missing, and no 'error' says why"


def _lacks_clock(response: Response, line: ResponseLine) -> str | None:
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
    lacks: Callable[[Response, ResponseLine], str | None]
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
                line = LINE.validate_json(text)
                require_distinct_keys(text, line)
            except ValidationError as error:
                self.problems.extend(f"{self.path}:{number}: {problem}" for problem in problems_of(text, error))
                continue
            except RepeatedKeyError as error:
                self.problems.append(f"{self.path}:{number}: {error}")
                continue
            if (response := self.response(line, number)) is not None:
                yield response

    def response(self, line: ResponseLine, number: int) -> Response | None:
        arm = line.pop("arm", None)
        self.arms.setdefault(arm, number)
        if arm not in (None, self.arm):
            return None
        response = _response(line, self.arm)
        first = self.seen.setdefault((response.id, response.repeat), number)
        if first != number:
            again = f"'id' {shown(response.id)} with 'repeat' {response.repeat} is already on line {first}"
            self.problems.append(f"{self.path}:{number}: {again}")
        if lacking := self.lacks(response, line):
            self.problems.append(f"{self.path}:{number}: {lacking}")
        return response


def _response(line: ResponseLine, arm: Arm) -> Response:
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


def _failure(error: ErrorPart) -> Failure:
    return Failure(kind=error["kind"], message=error.get("message", ""))


def _attempt(line: TryPart) -> Attempt:
    error = line.get("error")
    return Attempt(
        seconds=line["seconds"],
        error=_failure(error) if error else None,
        cost_usd=line.get("cost_usd"),
    )
