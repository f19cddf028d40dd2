"""A YAML file's bytes into a model, or every mistake in it at once."""

from __future__ import annotations

import json
import math
import pathlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from canary.located import Located, Path, dotted, parse
from canary.validation import problems, shown

M = TypeVar("M", bound=BaseModel)

MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Generic[M]):
    """What was read; `value` is None exactly where there are problems."""

    name: str
    value: M | None
    raw: Any
    """The plain values as written."""
    located: Located
    problems: tuple[str, ...]
    """`file:line: 'key' must be … (got …)`, in the order of the lines."""

    @property
    def is_empty(self) -> bool:
        """Whether the file holds nothing, or comments, or no key."""
        return not self.raw and not self.located.flaws

    def at(self, place: str, text: str) -> str:
        """A problem in the form of the others, on the line of the key that it names in quotes, else of `place`."""
        path = _named(text, self.located) or _named(f"'{place}'", self.located)
        return f"{self.name}:{self.located.line(path)}: {text}"


def read(data: bytes, model: type[M], name: str, context: Mapping[str, Any] | None = None) -> Document[M]:
    """Parse and validate; `name` is the file as the user knows it.

    `context` is handed to the model's validators, which read files and the
    environment through it.
    """
    reason = unusable(data)
    if reason:
        return _broken(name, f"{name}: {reason}")
    located = parse(data.decode("utf-8-sig"))
    if located.value is None and not located.flaws:
        return _broken(name, f"{name}: is empty")
    found = [(flaw.line, flaw.text) for flaw in located.flaws]
    value, mistakes = _validated(located.value, model, context) if located.value is not None else (None, {})
    found += [(located.line(path or _named(text, located)), text) for path, text in mistakes.items()]
    lines = tuple(f"{name}:{line}: {text}" for line, text in sorted(found, key=lambda item: item[0]))
    return Document(name=name, value=None if lines else value, raw=located.value, located=located, problems=lines)


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


def _broken(name: str, problem: str) -> Document[Any]:
    return Document(
        name=name, value=None, raw=None, located=Located(value=None, lines={}, flaws=()), problems=(problem,)
    )


def _validated(raw: Any, model: type[M], context: Mapping[str, Any] | None) -> tuple[M | None, dict[Path, str]]:
    if not isinstance(raw, dict):
        return None, {(): f"must hold keys and values at its top level (got {shown(raw)})"}
    wild = {path: f"must be a finite number (got {shown(number)})" for path, number in _infinite(raw, ())}
    # JSON is the strict mode that takes lists for tuples and whole numbers for floats, and nothing else for anything
    try:
        value = model.model_validate_json(json.dumps(raw), strict=True, context=context)
    except ValidationError as error:
        found = {problem.path: problem.text for problem in problems(error, model)}
        return None, {path: f"'{dotted(path)}' {text}" for path, text in wild.items() if path not in found} | found
    return value, {path: f"'{dotted(path)}' {text}" for path, text in wild.items()}


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
