"""A recorded trace of requests: when each arrived, how long it and its answer were."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from canary.codec import some
from canary.document import display, unreadable
from canary.errors import ConfigError
from canary.golden.lines import Faults
from canary.validation import RepeatedKeyError, require_distinct_keys, shown

COLUMNS = {"timestamp": "TIMESTAMP", "input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"}
"""Our names, and those of the traces that Azure has published."""
MOST_TOKENS = 1_000_000_000
LATEST_S = 1e11
"""A larger number of seconds is in another unit (milliseconds, as a rule)."""
SHORTEST_S = 1e-3


class Arrival(NamedTuple):
    """One request of a trace."""

    at: float
    """Seconds after the first one."""
    input_tokens: int | None
    output_tokens: int | None


def read_trace(path: Path, count: int) -> tuple[Arrival, ...]:
    """The first `count` arrivals of a JSONL file, or of a CSV file with a header; no more of it is read.

    Raises ConfigError with every bad line among them, and where there are
    fewer: starting anew would join two hours of the day that never met.
    """
    name = display(path)
    reading = _Reading(Faults(name))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _of_csv(file, name) if path.suffix.lower() == ".csv" else _of_jsonl(file)
            for line, row in itertools.islice(rows, count):
                reading.take(line, row)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: is not UTF-8 text (byte 0x{error.object[error.start]:02x})") from None
    except OSError as error:
        raise ConfigError(f"{name}: {unreadable(error)}") from None
    except csv.Error as error:
        raise ConfigError(f"{name}: is no CSV file: {error}") from None
    if sentences := list(reading.faults.sentences()):
        raise ConfigError(some(sentences))
    _require_enough(reading.arrivals, count, name)
    first = reading.arrivals[0].at
    return tuple(arrival._replace(at=arrival.at - first) for arrival in reading.arrivals)


def _require_enough(arrivals: Sequence[Arrival], count: int, name: str) -> None:
    if len(arrivals) < count:
        raise ConfigError(
            f"{name}: must hold an arrival for each of the {count} requests of an arm (got {len(arrivals)}): give a "
            "longer trace, or ask fewer cases ('stages: {staging: {cases: ...}}')"
        )
    if arrivals[-1].at - arrivals[0].at < SHORTEST_S:
        raise ConfigError(f"{name}: 'timestamp' must be in seconds: the first {count} arrivals came at one moment")


def _of_jsonl(file: TextIO) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, _parsed(line)


def _parsed(line: str) -> Any:
    try:
        row = json.loads(line)
        require_distinct_keys(line.encode(errors="replace"), row)
    except RepeatedKeyError as error:
        return error
    except (ValueError, RecursionError):
        return ValueError("is not valid JSON")
    return row if isinstance(row, dict) else ValueError(f"must be one JSON object, {{…}} (got {shown(row)})")


def _of_csv(file: TextIO, name: str) -> Iterator[tuple[int, Any]]:
    rows = csv.DictReader(file, strict=True)
    got = list(rows.fieldnames or ())
    if not {"timestamp", COLUMNS["timestamp"]} & set(got):
        raise ConfigError(
            f"{name}:1: must have the columns {', '.join(COLUMNS)}, or {', '.join(COLUMNS.values())} "
            f"(got {', '.join(map(shown, got)) or 'nothing'})"
        )
    if twice := [column for column in got if got.count(column) > 1]:
        raise ConfigError(f"{name}:1: must name a column once (got {shown(twice[0])} twice)")
    for row in rows:
        yield rows.line_num, row


@dataclass(slots=True)
class _Reading:
    """What was read so far."""

    faults: Faults
    arrivals: list[Arrival] = field(default_factory=list)
    kind: str = ""
    """How times are written, as the first one has it."""

    def take(self, line: int, row: Mapping[str, Any] | ValueError) -> None:
        """One more row, or why it is none."""
        try:
            self.arrivals.append(self._arrival(row))
        except ValueError as error:
            self.faults.add(line, str(error))

    def _arrival(self, row: Mapping[str, Any] | ValueError) -> Arrival:
        if isinstance(row, ValueError):
            raise row
        value = _value(row, "timestamp")
        kind, at = _time(value)
        self.kind = self.kind or kind
        if kind != self.kind:
            raise ValueError(f"'timestamp' must be {self.kind} like those above it (got {shown(value)})")
        if self.arrivals and at < self.arrivals[-1].at:
            raise ValueError("'timestamp' must not be before the one above it: sort the trace by time")
        return Arrival(at, _count(row, "input_tokens"), _count(row, "output_tokens"))


def _value(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name, row.get(COLUMNS[name]))
    return None if value == "" else value


def _time(value: Any) -> tuple[str, float]:
    """How the time is written, and its seconds."""
    if value is None:
        raise ValueError("'timestamp' is missing")
    number = _number(value)
    if number is not None and abs(number) <= LATEST_S:
        return "in seconds", number
    must = f"'timestamp' must be seconds up to {LATEST_S:.0e}, or a date and time of ISO 8601"
    if number is not None and math.isfinite(number):  # rounded, so that lines share one message
        raise ValueError(f"{must} (got {number:.1e}): is it in milliseconds?")
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{must} (got {shown(value)})") from None
    if at.tzinfo is None:
        return "without a time zone", at.replace(tzinfo=UTC).timestamp()
    return "with a time zone", at.timestamp()


def _count(row: Mapping[str, Any], name: str) -> int | None:
    """None where the trace does not say: only reports ask for it."""
    value = _value(row, name)
    if value is None:
        return None
    number = _number(value)
    if number is None or not 0 <= number <= MOST_TOKENS or not number.is_integer():
        raise ValueError(f"'{name}' must be a whole number of tokens ≥ 0 (got {shown(value)})")
    return int(number)


def _number(value: Any) -> float | None:
    """None where it is no number, in digits or as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
