"""A file of labels in, every mistake in it at once."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from canary.codec import refuse_constant, some
from canary.document import display, unreadable
from canary.errors import EvidenceError
from canary.golden.lines import Faults
from canary.labelled import LabelRow
from canary.records import Arm, Label, Response
from canary.validation import nearest, problems, require_distinct_keys, shown

MOST_LABEL_BYTES = 64 << 20
_WORDS = {"true": True, "false": False}


def read_labels(path: Path) -> tuple[LabelRow, ...]:
    """The labels in a JSONL file, or in a CSV file with a header.

    Raises EvidenceError with every bad line, its field, and what it should be.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EvidenceError(f"{display(path)}: {unreadable(error)}") from None
    if len(data) > MOST_LABEL_BYTES:
        raise EvidenceError(f"{display(path)}: is larger than {MOST_LABEL_BYTES >> 20} MiB")
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EvidenceError(f"{display(path)}:{line}: is not UTF-8 text (byte 0x{data[error.start]:02x})") from None
    rows = _of_csv(text) if path.suffix.lower() == ".csv" else _of_jsonl(text)
    return check_labels(rows, display(path))


def check_labels(rows: Iterable[tuple[int, Any]], name: str) -> tuple[LabelRow, ...]:
    """Labels from numbered rows of any source, `name` in messages.

    A row is a mapping as `LabelRow` has it, or the ValueError that kept it
    from being read. Raises EvidenceError with every mistake: a field, a row
    that stands there twice, two labels of one answer, no row at all.
    """
    faults, found, count = Faults(name), list[tuple[int, LabelRow]](), 0
    for number, row in rows:
        count += 1
        try:
            if isinstance(row, ValueError):
                raise row
            found.append((number, _validated(row)))
        except ValidationError as error:
            for problem in problems(error, LabelRow):
                faults.add(number, problem.text)
        except ValueError as error:
            faults.add(number, str(error))
    _blame_contradictions(found, faults)
    if sentences := list(faults.sentences()):
        raise EvidenceError(sentences)
    if not count:
        raise EvidenceError(f"{name}: holds no label")
    return tuple(row for _, row in found)


def require_metrics(rows: Iterable[LabelRow], judges: Mapping[str, object], name: str) -> None:
    """Raise EvidenceError for labels of metrics that no judge decides."""
    for metric in sorted({row.metric for row in rows} - judges.keys()):
        valid = f"valid: {', '.join(judges)}" if judges else "the suite has none: add an assertion like llm-rubric"
        near = nearest(metric, judges)
        hint = f"; did you mean {near!r}?" if near else ""
        raise EvidenceError(f"{name}: 'metric' must be one that a judge decides (got {metric!r}{hint}; {valid})")


def require_cases(rows: Iterable[LabelRow], known: Container[str], name: str) -> None:
    """Raise EvidenceError for labels of cases that are not asked."""
    strays = sorted({row.id for row in rows if row.id not in known})
    if strays:
        raise EvidenceError(some([f"{name}: 'id' must be a case that is asked (got {stray!r})" for stray in strays]))


def labels_for(
    rows: Sequence[LabelRow], responses: Sequence[Response], judges: Mapping[str, object], name: str
) -> tuple[Label, ...]:
    """The labels of a run's own answers; each quotes the answer it is about.

    Raises EvidenceError for labels that are not of this run: another metric,
    case or repeat, no arm, no output, or another output than was answered.
    """
    require_metrics(rows, judges, name)
    outputs = {(r.id, r.arm, r.repeat): r.output for r in responses}
    problems = [f"{name}: label of '{row.id}': {problem}" for row in rows if (problem := _foreign(row, outputs))]
    if problems:
        raise EvidenceError(some(problems))
    return tuple(
        Label(id=row.id, arm=row.arm, repeat=row.repeat, metric=row.metric, passed=row.label)
        for row in rows
        if row.arm is not None
    )


def _foreign(row: LabelRow, outputs: Mapping[tuple[str, Arm, int], str]) -> str:
    """Why a label says nothing of this run's answers; empty where it does."""
    if row.arm is None:
        return "'arm' must be baseline or candidate (got nothing)"
    if row.order != "given":
        return "'order' must be given, or left out: one answer has no order"
    place = (row.id, row.arm, row.repeat)
    if place not in outputs:
        return f"this run has no answer of the {row.arm} to it (repeat {row.repeat})"
    if row.output is None:
        return "'output' must quote the answer that was labelled, to show that it is this run's (got nothing)"
    if row.output != outputs[place]:
        return f"'output' must be what the {row.arm} answered in this run (got {shown(row.output)})"
    return ""


def _validated(row: Any) -> LabelRow:
    if not isinstance(row, Mapping):
        raise ValueError(f"must be one JSON object, {{…}} (got {shown(row)})")  # noqa: TRY004 - it is a line's content
    return LabelRow.model_validate_json(json.dumps(dict(row)), strict=True)


def _blame_contradictions(rows: Iterable[tuple[int, LabelRow]], faults: Faults) -> None:
    """What stands there twice, and what people say both ways."""
    places: dict[object, int] = {}
    labels: dict[object, tuple[int, bool]] = {}
    judged: dict[str, tuple[int, bool]] = {}
    for number, row in rows:
        first = places.setdefault(row.place, number)
        if first != number:
            faults.add(number, f"labels the same answer to '{row.id}' as line {first} again")
            continue
        line, label = labels.setdefault(row.answer, (number, row.label))
        if label is not row.label:
            faults.add(number, f"'label' must be what line {line} says of the same answer to '{row.id}'")
        line, has = judged.setdefault(row.metric, (number, row.judge is not None))
        if has is not (row.judge is not None):
            faults.add(number, f"'judge' must be on every line of metric '{row.metric}' or on none (see line {line})")


def _of_jsonl(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _parsed(line)


def _parsed(line: str) -> Any:
    try:
        row = json.loads(line, parse_constant=refuse_constant)
        require_distinct_keys(line.encode(), row)
    except RecursionError:
        return ValueError("is nested too deeply")
    except json.JSONDecodeError as error:
        return ValueError(f"is not valid JSON: {error.msg} (column {error.colno})")
    except ValueError as error:
        return error
    return row


def _of_csv(text: str) -> Iterator[tuple[int, Any]]:
    """Rows below a header; an empty cell is an absent field, except an answer's."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    while True:
        try:
            cells = next(lines, None)
        except csv.Error as error:
            yield lines.line_num, ValueError(f"is not valid CSV: {error}")
            return
        if cells is None:
            return
        if header is None:
            header = [cell.strip() for cell in cells]
            if len(set(header)) < len(header):
                yield lines.line_num, ValueError("the header names a column twice")
                return
        elif cells:
            yield lines.line_num, _cells(header, cells)


def _cells(header: list[str], cells: list[str]) -> Any:
    if len(cells) != len(header):
        return ValueError(f"must have {len(header)} cells, as the header has (got {len(cells)})")
    named: dict[str, Any] = {name: cell for name, cell in zip(header, cells, strict=True) if cell or name == "output"}
    for name in ("label", "judge"):
        if name in named:
            named[name] = _WORDS.get(named[name].strip().lower(), named[name])
    repeat = str(named.get("repeat", ""))
    if repeat.isdecimal():
        named["repeat"] = int(repeat)
    return named
