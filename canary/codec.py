"""Records as lines: one record, one JSON line, always the same bytes.

Lines are ASCII (any text is safe, lone surrogates and U+2028 included), keys
stand in a fixed order and are the record's field names, optional fields
without a value are left out, numbers are finite and floats survive exactly.
So a digest of evidence can be recomputed with sort and sha256sum:

    grep '"arm":"baseline"' responses.jsonl | LC_ALL=C sort | sha256sum

(the words after the key name the arm, as text inside quotes is escaped).
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from json.encoder import encode_basestring_ascii as _text
from typing import Any, BinaryIO, NoReturn, TypeAlias, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from canary.collector import uncollected
from canary.digest import digest_of
from canary.errors import EvidenceError
from canary.records import (
    Arm,
    Attempt,
    Evidence,
    Failure,
    Guardrail,
    Label,
    Measurement,
    Observation,
    Prompt,
    Response,
    Score,
)

Record = TypeVar("Record", Prompt, Response, Score, Measurement, Label, Observation)
AnyRecord: TypeAlias = Prompt | Response | Score | Measurement | Label | Observation

CHUNK = 1 << 20
"""Bytes of lines decoded in one call; about 1,000 everyday responses."""
SHOWN = 20
"""Problems named before the rest is only counted."""


def encode(record: AnyRecord) -> bytes:
    """The record's line; raises EvidenceError where it cannot be one."""
    try:
        return _WRITERS[type(record)](record).encode()
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise EvidenceError(f"{_named(record)} cannot be written: {error}") from None


def _named(record: AnyRecord) -> str:
    name = "" if isinstance(record, Observation) else f" '{record.id}'"
    arm = f" of the {record.arm or 'shared engine'}" if isinstance(record, Response | Score | Observation) else ""
    return f"{type(record).__name__.lower()}{name}{arm}"


def decode(kind: type[Record], stream: BinaryIO, name: str) -> Iterator[list[Record]]:
    """Records in the order of their lines, in chunks.

    Raises EvidenceError naming every bad line of the chunk that holds the
    first one.
    """
    seen = 0
    while lines := stream.readlines(CHUNK):
        yield _chunk(kind, lines) or _one_by_one(kind, lines, name, seen + 1)
        seen += len(lines)


def some(problems: Sequence[str]) -> list[str]:
    """The first problems, and how many more there are."""
    rest = len(problems) - SHOWN
    return [*problems[:SHOWN], f"and {rest} more of this kind"] if rest > 0 else list(problems)


def evidence_digests(evidence: Evidence) -> dict[str, str]:
    """The sha256 of the sorted lines of each part; their order is no matter."""
    digests = {"prompts": _sorted_digest(evidence.prompts)}
    for arm in Arm:
        digests[f"{arm}_responses"] = _sorted_digest(r for r in evidence.responses if r.arm == arm)
    telemetry = {"telemetry": _sorted_digest(evidence.telemetry)} if evidence.telemetry else {}
    labels = {"labels": _sorted_digest(evidence.labels)} if evidence.labels else {}
    seen = {"observations": _sorted_digest(evidence.observations)} if evidence.observations else {}
    return digests | {"scores": _sorted_digest(evidence.scores)} | telemetry | labels | seen


def line_digests(
    prompts: Iterable[bytes],
    responses: Iterable[bytes],
    scores: Iterable[bytes],
    telemetry: Iterable[bytes] = (),
    labels: Iterable[bytes] = (),
    observations: Iterable[bytes] = (),
) -> dict[str, str]:
    """`evidence_digests` of lines that `encode` wrote, without reading them."""
    of_arm: dict[bool, list[bytes]] = {True: [], False: []}
    for line in responses:
        of_arm[b'"arm":"baseline"' in line].append(line)
    parts = {"prompts": prompts, "baseline_responses": of_arm[True], "candidate_responses": of_arm[False]}
    several = {"telemetry": list(telemetry), "labels": list(labels), "observations": list(observations)}
    more = {name: lines for name, lines in several.items() if lines}
    return {name: _digest(part) for name, part in (parts | {"scores": scores} | more).items()}


def golden_digest(prompts: Iterable[Prompt]) -> str:
    """The identity of the cases asked: a digest of their sorted digests."""
    return digest_of(sorted(prompt.digest for prompt in prompts))


def _sorted_digest(records: Iterable[AnyRecord]) -> str:
    return _digest(map(encode, records))


def _digest(lines: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line)
    return digest.hexdigest()


# Writing: by hand, since no fast JSON library writes lone surrogates, and
# pydantic writes NaN as null, which would turn a broken score into an abstention.


def _number(value: float) -> str:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"a number must be finite (got {number})")
    return float.__repr__(number)


def _numbers(values: Iterable[float]) -> str:
    return f"[{','.join(map(_number, values))}]"


def _count(value: int) -> str:
    return f"{value:d}"


def _flag(value: bool | None) -> str:  # noqa: FBT001 - it is the value written
    return "null" if value is None else "true" if value else "false"


def _failure(failure: Failure) -> str:
    return f'{{"kind":"{failure.kind}","message":{_text(failure.message)}}}'


def _attempt(attempt: Attempt) -> str:
    error = "" if attempt.error is None else f',"error":{_failure(attempt.error)}'
    cost = "" if attempt.cost_usd is None else f',"cost_usd":{_number(attempt.cost_usd)}'
    return f'{{"seconds":{_number(attempt.seconds)}{error}{cost}}}'


def _attempts(attempts: Iterable[Attempt]) -> str:
    return f"[{','.join(map(_attempt, attempts))}]"


def _recorded(value: float | bool) -> str:  # noqa: FBT001 - it is the value written
    return _flag(value) if isinstance(value, bool) else _number(value)


def _scores(scores: dict[str, float | bool]) -> str:
    return f"{{{','.join(f'{_text(name)}:{_recorded(scores[name])}' for name in sorted(scores))}}}"


def _guardrail(guardrail: Guardrail) -> str:
    seconds = "" if guardrail.seconds is None else f',"seconds":{_number(guardrail.seconds)}'
    return f'{{"classes":[{",".join(map(_text, guardrail.classes))}]{seconds}}}'


_OPTIONAL: tuple[tuple[str, str, Callable[[Any], str]], ...] = tuple(
    (name, f',"{name}":', write)
    for name, write in (
        ("error", _failure),
        ("ttft_s", _number),
        ("itl_s", _numbers),
        ("tpot_s", _number),
        ("total_s", _number),
        ("input_tokens", _count),
        ("output_tokens", _count),
        ("cached_tokens", _count),
        ("cost_usd", _number),
        ("finish_reason", _text),
        ("logprobs", _numbers),
        ("started_at", _number),
        ("scheduled_at", _number),
        ("session", _text),
        ("tenant", _text),
        ("stratum", _text),
        ("share", _number),
        ("scores", _scores),
        ("guardrail", _guardrail),
    )
)


def _response(response: Response) -> str:
    head = f'{{"id":{_text(response.id)},"arm":"{response.arm}","repeat":{response.repeat:d}'
    parts = [head, f',"output":{_text(response.output)}']
    for name, key, write in _OPTIONAL:
        value = getattr(response, name)
        if value is not None:
            parts.append(key + write(value))
    if response.attempts:
        parts.append(f',"attempts":{_attempts(response.attempts)}')
    return "".join(parts) + "}\n"


def _score(score: Score) -> str:
    value = "null" if score.value is None else _number(score.value)
    reason = f',"reason":{_text(score.reason)}' if score.reason else ""
    return (
        f'{{"id":{_text(score.id)},"arm":"{score.arm}","repeat":{score.repeat:d},"metric":{_text(score.metric)}'
        f',"scale":"{score.scale}","value":{value},"passed":{_flag(score.passed)}{reason}}}\n'
    )


_document = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=dict).encode
"""Keeps the order of keys: a template may show it to the model."""


def _prompt(prompt: Prompt) -> str:
    return _document({name: getattr(prompt, name) for name in Prompt.__dataclass_fields__}) + "\n"


def _measurement(measurement: Measurement) -> str:
    return (
        f'{{"id":{_text(measurement.id)},"n":{measurement.n:d},"value":{_number(measurement.value)}'
        f',"p":{_number(measurement.p)},"method":{_text(measurement.method)}'
        f',"warnings":[{",".join(map(_text, measurement.warnings))}]}}\n'
    )


def _label(label: Label) -> str:
    return (
        f'{{"id":{_text(label.id)},"arm":"{label.arm}","repeat":{label.repeat:d},"metric":{_text(label.metric)}'
        f',"passed":{_flag(label.passed)}}}\n'
    )


def _observation(seen: Observation) -> str:
    values = ",".join(f"{_text(name)}:{_number(seen.values[name])}" for name in sorted(seen.values))
    arm = "null" if seen.arm is None else f'"{seen.arm}"'
    return f'{{"arm":{arm},"replica":{seen.replica:d},"at":{_number(seen.at)},"values":{{{values}}}}}\n'


_WRITERS: dict[type, Callable[[Any], str]] = {
    Prompt: _prompt,
    Response: _response,
    Score: _score,
    Measurement: _measurement,
    Label: _label,
    Observation: _observation,
}


# Reading: pydantic's parser, twice as fast as json.loads and it checks types.


@functools.cache
def _adapters(*, strict: bool) -> dict[type, TypeAdapter[Any]]:
    config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=strict)
    kinds = (Prompt, Response, Score, Measurement, Label, Observation)
    return {kind: TypeAdapter(list[kind], config=config) for kind in kinds}  # type: ignore[valid-type]


def _parse(kind: type[Record], text: bytes) -> list[Record]:
    records: list[Record] = _adapters(strict=True)[kind].validate_json(text)
    return records


def _chunk(kind: type[Record], lines: Sequence[bytes]) -> list[Record] | None:
    """All records, or None where a line needs a closer look."""
    text = b"[" + b",".join(lines) + b"]"
    if not lines[-1].endswith(b"\n") or _hides_nan(kind, text):
        return None
    try:
        with uncollected():
            records = _parse(kind, text)
    except ValidationError:
        return None
    return records if len(records) == len(lines) else None


def _one_by_one(kind: type[Record], lines: Sequence[bytes], name: str, first: int) -> list[Record]:
    records: list[Record] = []
    problems: list[str] = []
    for number, line in enumerate(lines, first):
        try:
            records.append(_line(kind, line))
        except ValidationError as error:
            problems += [f"{name}:{number}: {_wrong(detail)}" for detail in error.errors(include_url=False)]
        except (ValueError, RecursionError) as error:
            problems.append(f"{name}:{number}: {error}")
    if problems:
        raise EvidenceError(some(problems))
    return records


def _line(kind: type[Record], line: bytes) -> Record:
    if not line.endswith(b"\n"):
        raise ValueError("the last line is torn: its end is missing")
    if _hides_nan(kind, line):
        return _odd_line(kind, line)
    try:
        records = _parse(kind, b"[" + line + b"]")
    except ValidationError:
        if b"\\ud" not in line:
            raise
        return _odd_line(kind, line)
    if len(records) != 1:
        raise ValueError(f"a line must hold one {kind.__name__.lower()} (got {len(records)})")
    return records[0]


def _odd_line(kind: type[Record], line: bytes) -> Record:
    """Reads a line with lone surrogates, which pydantic's parser refuses."""
    document = json.loads(line, parse_constant=refuse_constant)
    record: Record = _adapters(strict=False)[kind].validate_python([document])[0]
    if encode(record) != line:
        raise ValueError(f"the line is not as a {kind.__name__.lower()} is written")
    return record


def _hides_nan(kind: type[Record], text: bytes) -> bool:
    """Free-form values of a case are not checked by type, so look closer."""
    return kind is Prompt and (b"NaN" in text or b"Infinity" in text)


def refuse_constant(constant: str) -> NoReturn:
    """Raise ValueError for NaN and the infinities, as `json.loads(parse_constant=...)` calls it."""
    raise ValueError(f"a number must be finite (got {constant})")


def _wrong(detail: Any) -> str:
    field = ".".join(map(str, detail["loc"][1:]))
    return f"'{field}': {detail['msg']}" if field else detail["msg"]
