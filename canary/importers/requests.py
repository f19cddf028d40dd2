"""A log of requests, OpenAI bodies a line, as cases that nobody knows the answer to."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from canary.codec import some
from canary.document import display, unreadable
from canary.errors import ConfigError
from canary.importers.request import Drawing, LeftOutError, Recorded, arrival, at_path, read_request
from canary.importers.workspace import Imported
from canary.records import MINIMUM_PAIRS, POOLED, Arm
from canary.release import Sampling

_BY = ("stratum", "metadata.stratum")
_OTHER = "other"
MOST_STRATA = 50
"""More are no kinds of request, but requests."""
LIKENESS = {"type": "similar", "value": "{{baseline}}", "metric": "similar-to-baseline"}
"""What grades an answer that nobody knows the right one of."""


@dataclass(slots=True)
class _Group:
    """Requests of one stratum that ask the same."""

    first: Recorded
    stratum: str
    digest: str
    count: int = 0


@dataclass(slots=True)
class _Log:
    """What was read so far."""

    groups: dict[tuple[str, str], _Group] = field(default_factory=dict)
    strata: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    samplings: Counter[Drawing] = field(default_factory=Counter)
    settings: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    """Requests of the completions API."""
    trace: list[dict[str, Any]] = field(default_factory=list)
    timeless: list[int] = field(default_factory=list)
    """Lines that do not say when."""
    left_out: dict[str, list[int]] = field(default_factory=dict)
    """Lines by why they cannot be asked again."""

    def add(self, number: int, line: Any, by: str | None) -> None:
        """One line; what cannot be asked again was load all the same."""
        when = arrival(line)
        if when is None:
            self.timeless.append(number)
        else:
            self.trace.append(when)
        try:
            found = read_request(line)
        except LeftOutError as error:
            self.left_out.setdefault(str(error), []).append(number)
            return
        stratum, digest = _stratum(line, by), found.digest
        self.groups.setdefault((stratum, digest), _Group(found, stratum, digest)).count += 1
        self.strata[stratum] += 1
        self.models.update([found.model] if found.model else [])
        self.samplings[found.sampling] += 1
        self.settings.update(found.settings)
        self.texts += "vars" in found.asked

    @property
    def requests(self) -> int:
        """How many can be asked again."""
        return self.strata.total()


def read_requests(path: Path, *, by: str | None = None, sample: int | None = None, seed: int = 0) -> Imported:
    """Every distinct request as a case, with when each came; ConfigError where the file cannot be read.

    `by` is where a line names its stratum, like `metadata.route`; `sample`
    draws about so many cases, at least ten of each stratum.
    """
    log = _Log()
    for number, line in _lines(path):
        log.add(number, line, by)
    _require_kinds(log, by)
    drawn = _drawn(log, sample, seed)
    sampling, unlike = _sampling(log)
    is_named = set(log.strata) != {_OTHER}
    return Imported(
        name=re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem),
        source=path.name,
        cases=list(_cases(drawn, named=is_named)),
        assertions=[LIKENESS],
        repeat=2,
        strata=log.strata if is_named else {},
        sensitivity="confidential",
        trace=[] if log.timeless else sorted(log.trace, key=itemgetter("timestamp")),
        pipeline=_pipeline(log, sampling),
        left_out=some([_sentence(display(path), text, numbers) for text, numbers in log.left_out.items()]),
        notes=[*_said(log, len(drawn)), *_resampled(unlike, log, sampling), *_not_asked(log)],
    )


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    """What each line holds with its number; ConfigError at the first that is no JSON."""
    name = display(path)
    try:
        with path.open("rb") as file:
            for number, data in enumerate(file, 1):
                if data.strip():
                    yield number, _line(data, f"{name}:{number}")
    except OSError as error:
        raise ConfigError(f"{name}: {unreadable(error)}") from None


def _line(data: bytes, where: str) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: is not UTF-8 text (byte 0x{data[error.start]:02x})") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {_wrong(error, data)}") from None


def _wrong(error: ValueError | RecursionError, data: bytes) -> str:
    """What is wrong with a line that is no JSON."""
    if not data.endswith(b"\n"):
        return "is cut off: the file ends in the middle of a request"
    if isinstance(error, json.JSONDecodeError) and error.pos >= len(error.doc.rstrip("\r\n")):
        return "is cut off: the line ends in the middle of a request"
    return f"is not valid JSON: {error}"


def _stratum(line: Mapping[str, Any], by: str | None) -> str:
    """As it stands in the names of signals; whatever is no name is `other`."""
    found = next((value for path in ((by,) if by else _BY) if (value := at_path(line, path)) is not None), None)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return _OTHER
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", str(found))[:64]
    return name if name and name != POOLED else _OTHER


def _require_kinds(log: _Log, by: str | None) -> None:
    if len(log.strata) > MOST_STRATA:
        raise ConfigError(
            f"'--strata-by' must name a kind of request, of which there are at most {MOST_STRATA}: "
            f"{by or _BY[0]!r} has {len(log.strata):,} values in {log.requests:,} requests"
        )
    if by and set(log.strata) == {_OTHER}:
        raise ConfigError(f"'--strata-by' must name what requests hold as text or a whole number (got {by!r})")


def _drawn(log: _Log, sample: int | None, seed: int) -> list[_Group]:
    """The groups in the order of the log; with `sample`, by what each asks and the seed alone."""
    groups = list(log.groups.values())
    if sample is None:
        return groups
    kept = set()
    for stratum, requests in log.strata.items():
        mine = [group.digest for group in groups if group.stratum == stratum]
        ranked = sorted(mine, key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest())
        share = round(sample * requests / log.requests)
        kept |= {(stratum, digest) for digest in ranked[: max(MINIMUM_PAIRS, share)]}
    return [group for group in groups if (group.stratum, group.digest) in kept]


def _cases(groups: Sequence[_Group], *, named: bool) -> Iterator[dict[str, Any]]:
    """Cases by the ids of the log where these tell them apart, else by what is asked."""
    taken: set[str] = set()
    for group in groups:
        found = group.first
        own = hashlib.sha256(f"{group.stratum}:{group.digest}".encode()).hexdigest()[:16]
        name = found.id if found.id is not None and found.id not in taken else own
        taken.add(name)
        given = {
            "stratum": group.stratum if named else None,
            "cluster": found.session,
            "tenant": found.tenant,
            "requests": group.count if group.count > 1 else None,
            "tools": found.asked.get("tools"),
        }
        metadata = {key: value for key, value in given.items() if value is not None}
        asked = {key: value for key, value in found.asked.items() if key != "tools"}
        yield {"id": name, **asked, **({"metadata": metadata} if metadata else {})}


def _said(log: _Log, drawn: int) -> Iterator[str]:
    requests, distinct = log.requests, len(log.groups)
    if distinct < requests:
        yield f"{requests - distinct:,} of {requests:,} requests repeat another, and are asked once with it"
    if drawn < distinct:
        yield f"{drawn:,} of {distinct:,} distinct requests were drawn"
    if len(log.strata) > 1 and _OTHER in log.strata:
        yield f"{log.strata[_OTHER]:,} of {requests:,} requests name no stratum, and stand under {_OTHER!r}"
    if log.trace and log.timeless:
        yield (
            f"no trace of arrivals is written: {len(log.timeless):,} lines, line {log.timeless[0]} first, have no "
            "'timestamp' in seconds or ISO 8601"
        )
    if requests:
        yield "the cases are as users wrote them: look for personal data before they are shared"


def _sampling(log: _Log) -> tuple[dict[str, Any], int]:
    """How most requests were sampled, as a release says it, and how many were not."""
    if not log.requests:
        return {}, 0
    (temperature, top_p, max_tokens, stop), count = log.samplings.most_common(1)[0]
    given = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "stop": list(stop)}
    sampling = {key: value for key, value in given.items() if value not in (None, [])}
    try:
        Sampling.model_validate_json(json.dumps(sampling), strict=True)
    except ValidationError:
        return {}, log.requests
    return sampling, log.requests - count


def _resampled(unlike: int, log: _Log, sampling: Mapping[str, Any]) -> Iterator[str]:
    if unlike:
        yield (
            f"{unlike:,} of {log.requests:,} requests were sampled otherwise than the pipeline's releases are: "
            "temperature, top_p, max_tokens and stop are a release's, the same for every case"
        )
    if log.requests and "max_tokens" not in sampling:
        yield "most requests set no usable 'max_tokens': a release always has one, 256 unless you say"


def _not_asked(log: _Log) -> Iterator[str]:
    for key, count in sorted(log.settings.items()):
        yield f"{key!r} of {count:,} requests is not asked: 'extra_body' of a release is for what every request needs"
    if 0 < log.texts < log.requests:
        yield f"{log.texts:,} of {log.requests:,} requests are prompts for completions, and are asked as a turn of chat"


def _pipeline(log: _Log, sampling: Mapping[str, Any]) -> dict[str, Any] | None:
    """The model that was asked most, against itself: what the candidate is only its owner knows."""
    if not log.models:
        return None
    model = {"engine": "openai", "model": log.models.most_common(1)[0][0], "api_key": "${OPENAI_API_KEY}"}
    model |= {"api": "completions"} if log.texts == log.requests else {}
    arms = {arm.value: {"name": arm.value, **model, "sampling": {**sampling}} for arm in Arm}
    return {**arms, "stages": {"shadow": {}}}


def _sentence(name: str, text: str, numbers: Sequence[int]) -> str:
    more = f" (and {len(numbers) - 1:,} other lines)" if len(numbers) > 1 else ""
    return f"{name}:{numbers[0]}: {text}{more}"
