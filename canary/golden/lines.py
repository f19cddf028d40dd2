"""One `prompts.jsonl`, line by line, with every mistake and its line."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from canary.case import Case
from canary.located import printable
from canary.validation import PAST_THE_LINE, RepeatedKeyError, problems, require_distinct_keys

_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False).encode


class CaseRow(NamedTuple):
    """A case with where it stands and what it says."""

    line: int
    case: Case
    messages: tuple[dict[str, Any], ...] | None
    digest: str
    """sha256 of everything but the id."""
    question: bytes
    """Digest of what is asked, alone; empty where nothing is."""


@dataclass(slots=True)
class Faults:
    """Mistakes of one file; one sentence for all the lines that share it."""

    name: str
    lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, line: int, text: str) -> None:
        """Note a mistake."""
        self.lines.setdefault(text, []).append(line)

    def sentences(self) -> Iterator[str]:
        """`file:line: text`, in the order of first lines."""
        for text, lines in sorted(self.lines.items(), key=lambda item: item[1][0]):
            others = f" (also on {spans(lines[1:])})" if len(lines) > 1 else ""
            yield printable(f"{self.name}:{lines[0]}: {text}{others}")


def spans(lines: list[int]) -> str:
    """Sorted line numbers in words: `lines 3, 7-9`; at most ten spans are written out."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    words = [f"{first}-{last}" if last > first else str(first) for first, last in runs[:10]]
    rest = sum(last - first + 1 for first, last in runs[10:])
    more = f" and {rest:,} more" if rest else ""
    return f"{'lines' if len(lines) > 1 else 'line'} {', '.join(words)}{more}"


def read_rows(path: Path, faults: Faults) -> tuple[list[CaseRow], str]:
    """The cases of a file and its sha256; raises OSError."""
    rows, digest = [], hashlib.sha256()
    with path.open("rb") as file:
        for number, data in enumerate(file, 1):
            digest.update(data)
            line = data.removeprefix(codecs.BOM_UTF8) if number == 1 else data
            if line.strip():
                try:
                    rows.append(_row(number, line))
                except ValueError as error:
                    _blame(error, number, data, faults)
    return rows, digest.hexdigest()


def _row(number: int, line: bytes) -> CaseRow:
    case = Case.model_validate_json(line, strict=True)
    messages = None
    if case.messages is not None:
        messages = tuple(message.model_dump(exclude_unset=True) for message in case.messages)
    own = {name: getattr(case, name) for name in case.model_fields_set}
    require_distinct_keys(line, own if messages is None else own | {"messages": messages})
    asked = {"vars": case.vars, "messages": messages}
    answered = {"expected": case.expected, "metadata": case.metadata, "assert": case.assertions}
    content = {key: value for key, value in (asked | answered).items() if value or value in (0, "")}
    question = hashlib.sha256(_ENCODE(asked).encode()).digest() if case.vars or messages else b""
    return CaseRow(number, case, messages, hashlib.sha256(_ENCODE(content).encode()).hexdigest(), question)


def _blame(error: ValueError, number: int, data: bytes, faults: Faults) -> None:
    for text in _reasons(error, data):
        faults.add(number, text)


def _reasons(error: ValueError, data: bytes) -> Iterator[str]:
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        yield f"is not UTF-8 text (byte 0x{data[wrong.start]:02x} in column {wrong.start + 1})"
        return
    if isinstance(error, RepeatedKeyError):
        yield str(error)
        return
    if not isinstance(error, ValidationError):
        yield "holds a number that is not finite (NaN, Infinity or too large)"
        return
    for problem in problems(error, Case):
        yield _plain(problem.text, data) if not problem.path else problem.text


def _plain(text: str, data: bytes) -> str:
    """What is wrong with the line as a whole."""
    if not text.startswith("Invalid JSON: "):
        return text.replace("must be a mapping", "must be one JSON object, {…}")
    if not data.endswith(b"\n") and "EOF" in text:
        return "is cut off: the file ends in the middle of a case"
    if PAST_THE_LINE in text:
        return "is cut off: the line ends in the middle of a case"
    return re.sub(r"^Invalid JSON: (.*) at line \d+ column (\d+).*$", r"is not valid JSON: \1 (column \2)", text)
