"""A YAML file's bytes into a model, or every mistake in it at once."""

from __future__ import annotations

import json
import math
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from canary.located import Flaw, Located, Path, dotted, parse, printable
from canary.validation import problems, shown

M = TypeVar("M", bound=BaseModel)

MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Generic[M]):
    """What was read; `value` is None exactly where there are flaws."""

    name: str
    value: M | None
    raw: Any
    """The plain values as written."""
    located: Located
    flaws: tuple[Flaw, ...]
    """What is wrong; the line 0 stands for the whole file."""

    @property
    def is_empty(self) -> bool:
        """Whether the file holds nothing, or comments, or no key."""
        return self.raw in (None, {}) and not self.located.flaws

    def at(self, place: str, text: str) -> Flaw:
        """A flaw on the line of the key that its text names in quotes, else of `place`."""
        path = _named(text, self.located) or _named(f"'{place}'", self.located)
        return Flaw(line=self.located.line(path), text=text)

    def problems(self, more: Iterable[Flaw] = ()) -> tuple[str, ...]:
        """`file:line: 'key' must be … (got …)`, in the order of the lines."""
        flaws = sorted((*self.flaws, *more), key=lambda flaw: flaw.line)
        return tuple(map(self.sentence, flaws))

    def sentence(self, flaw: Flaw) -> str:
        """The flaw with its file and line."""
        place = f"{self.name}:{flaw.line}" if flaw.line else self.name
        return printable(f"{place}: {flaw.text}")


def read(data: bytes, model: type[M], name: str, context: Mapping[str, Any] | None = None) -> Document[M]:
    """Parse and validate; `name` is the file as the user knows it.

    `context` is handed to the model's validators, which read files and the
    environment through it.
    """
    reason = unusable(data)
    located = parse("" if reason else data.decode("utf-8-sig"))
    if located.value is None and not located.flaws:
        whole = Flaw(line=0, text=reason or "is empty")
        return Document(name=name, value=None, raw=None, located=located, flaws=(whole,))
    value, mistakes = _validated(located.value, model, context) if located.value is not None else (None, {})
    found = [Flaw(line=located.line(path or _named(text, located)), text=text) for path, text in mistakes.items()]
    flaws = (*located.flaws, *found)
    return Document(name=name, value=None if flaws else value, raw=located.value, located=located, flaws=flaws)


def unusable(data: bytes) -> str:
    """Why these bytes cannot be a configuration, or nothing."""
    if len(data) > MOST_BYTES:
        return f"is larger than {MOST_BYTES >> 20} MiB"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"is not UTF-8 text (byte 0x{data[error.start]:02x} on line {line})"
    return "" if text.strip() else "is empty"


def unreadable(error: OSError) -> str:
    """Why a file could not be read, after its name."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "does not exist"
    if isinstance(error, IsADirectoryError):
        return "is a folder, not a file"
    return f"cannot be read ({error.strerror or error})"


def display(path: pathlib.Path | str) -> str:
    """A path as the user knows it: from the working folder where it is inside."""
    absolute, folder = pathlib.Path(path).absolute(), pathlib.Path.cwd()
    return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else path)


def _validated(raw: Any, model: type[M], context: Mapping[str, Any] | None) -> tuple[M | None, dict[Path, str]]:
    if not isinstance(raw, dict):
        return None, {(): f"must hold keys and values at its top level (got {shown(raw)})"}
    value, found = None, {}
    # JSON is the strict mode that takes lists for tuples and whole numbers for floats, and nothing else for anything
    try:
        value = model.model_validate_json(json.dumps(raw), strict=True, context=context)
    except ValidationError as error:
        found = {problem.path: problem.text for problem in problems(error, model)}
    for path, number in _infinite(raw, ()):
        found[path] = f"'{dotted(path)}' must be a finite number (got {shown(number)})"
    return value, found


def _named(text: str, located: Located) -> Path:
    """The path a rule over several keys complains about, or what of it exists."""
    match = re.match(r"'([^']+)'", text)
    name = match[1] if match else ""
    inside = (path for path in located.lines if path and re.match(rf"{re.escape(dotted(path))}(?:[.\[]|$)", name))
    return max(inside, key=len, default=())


def _infinite(value: Any, path: Path) -> Iterator[tuple[Path, float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _infinite(child, (*path, key))
