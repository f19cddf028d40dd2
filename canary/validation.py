"""What pydantic finds wrong, in the words and paths of the user's file."""

from __future__ import annotations

import difflib
import json
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, Tag, ValidationError
from pydantic_core import ErrorDetails

from canary.located import Path, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake, said in a sentence that names the key."""

    path: Path
    text: str


def problems(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """Every mistake, in the order of the model's fields, one a key."""
    found: dict[Path, str] = {}
    for detail in error.errors(include_url=False):
        place = _place(model, detail["loc"])
        if detail["type"] == "too_short" and _is_long_enough(detail):
            continue  # pydantic counts only the items that are right
        path, said = (*place.path, *_discriminator(detail)), _said(detail, place)
        found[path] = _joined(found[path], said) if path in found else said
    return tuple(Problem(path=path, text=_sentence(path, said)) for path, said in found.items())


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid name a user most likely meant."""
    close = difflib.get_close_matches(word, list(valid), n=1)
    return close[0] if close else None


def shown(value: Any) -> str:
    """A value as it may stand in a message: one short printable line."""
    if isinstance(value, (Mapping, list, tuple)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if not isinstance(value, str):
        return json.dumps(value, default=str)
    return repr(value if len(value) <= 60 else value[:57] + "...")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a mistake stands, and what the model says of that place."""

    path: Path
    kind: Any
    """The annotation of the value."""
    owner: type[BaseModel] | None
    """The model the last key belongs to."""


def _place(model: type[BaseModel], location: tuple[str | int, ...]) -> _Place:
    """Follow pydantic's location through the annotations.

    A location also holds the labels of unions, which no user has written.
    """
    path: list[str | int] = []
    kind: Any = model
    owner: type[BaseModel] | None = None
    for part in location:
        options = tuple(_options(kind))
        if len(options) > 1:
            kind = next((option for option in options if _is_labelled(option, part)), Any)
            continue
        kind = _bare(options[0])
        owner = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        path.append(part)
        kind = _inside(kind, part)
    return _Place(path=tuple(path), kind=kind, owner=owner)


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _options(kind: Any) -> Iterator[Any]:
    """The members of a union without None; anything else is its own member."""
    bare = _bare(kind)
    if get_origin(bare) not in (Union, types.UnionType):
        yield kind
        return
    for member in get_args(bare):
        if member is not type(None):
            # Annotated around a nested union is transparent; around a member it may carry its tag
            yield from _options(member) if get_origin(_bare(member)) in (Union, types.UnionType) else (member,)


def _is_labelled(option: Any, label: str | int) -> bool:
    if get_origin(option) is Annotated and any(isinstance(m, Tag) and m.tag == label for m in get_args(option)[1:]):
        return True
    bare = _bare(option)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        tags = {tag for field in bare.model_fields.values() for tag in _literals(field.annotation)}
        return label == bare.__name__ or label in tags
    return str(label).partition("[")[0] == getattr(get_origin(bare) or bare, "__name__", None)


def _literals(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _inside(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field for name, field in kind.model_fields.items()}
        return fields[str(part)].annotation if part in fields else Any
    arguments = get_args(kind) or (Any,)
    return arguments[0] if isinstance(part, int) else arguments[-1]


_WORDS = {
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "greater_than": "must be a number greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be a number less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "string_pattern_mismatch": "must match {pattern}",
}


def _said(detail: ErrorDetails, place: _Place) -> str:
    """What follows the key's name."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _SAYERS:
        return _SAYERS[kind](detail, place)
    if kind in ("literal_error", "enum"):
        return _one_of(context["expected"], detail["input"])
    untold = _holds_secret(place.kind) or (kind in ("string_too_short", "too_short") and not detail["input"])
    got = "" if untold else f" (got {shown(detail['input'])})"
    return _rule(kind, context, detail["msg"]) + got + _remedy(kind, detail["input"])


def _holds_secret(kind: Any) -> bool:
    return kind is SecretStr or any(map(_holds_secret, get_args(kind)))


def _rule(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind in ("string_too_short", "too_short") and context["min_length"] == 1:
        return "must not be empty"
    if kind not in _WORDS:
        return message.replace("Input should be", "must be")
    return _WORDS[kind].format_map({name: _number(value) for name, value in context.items()})


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _remedy(kind: str, value: Any) -> str:
    return ": put it in quotes" if kind == "string_type" and isinstance(value, (bool, int, float)) else ""


def _one_of(expected: str, value: Any) -> str:
    """Pydantic lists choices as "'a', 'b' or 'c'"."""
    choices = expected.replace(" or ", ", ").split(", ")
    near = nearest(value, [choice.strip("'") for choice in choices]) if isinstance(value, str) else None
    meant = f"; did you mean {near!r}?" if near else ""
    one_of = "one of " if len(choices) > 1 else ""
    return f"must be {one_of}{', '.join(choices)} (got {shown(value)}{meant})"


def _unknown(_detail: ErrorDetails, place: _Place) -> str:
    fields = place.owner.model_fields if place.owner else {}
    valid = [field.alias or name for name, field in fields.items()]
    near = _deeper(place.owner, str(place.path[-1])) or nearest(str(place.path[-1]), valid)
    meant = f"; did you mean {near!r}?" if near else ""
    return f"is not a known key{meant} (valid: {', '.join(valid)})"


def _deeper(owner: type[BaseModel] | None, key: str) -> str | None:
    """Where the key would be right, below where it was written."""
    waiting: list[tuple[str, Any]] = [("", owner)]
    seen: set[Any] = {None}
    while waiting:
        path, model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        for name, field in model.model_fields.items():
            if path and key == (field.alias or name):
                return path + key
            below = (_bare(option) for option in _options(field.annotation))
            models = [kind for kind in below if isinstance(kind, type) and issubclass(kind, BaseModel)]
            waiting += [(f"{path}{field.alias or name}.", kind) for kind in models]
    return None


def _tagless(detail: ErrorDetails, place: _Place) -> str:
    """The discriminator's values, in the order of the union."""
    name = _discriminator(detail)[0]
    members = [_bare(option) for option in _options(place.kind)]
    tags = [tag for member in members for tag in _literals(member.model_fields[name].annotation)]
    return f"is required: one of {', '.join(map(repr, tags))}"


_SAYERS: dict[str, Callable[[ErrorDetails, _Place], str]] = {
    "missing": lambda _detail, _place: "is required",
    "extra_forbidden": _unknown,
    "value_error": lambda detail, _place: str(detail["ctx"]["error"]),
    "union_tag_invalid": lambda detail, _place: _one_of(detail["ctx"]["expected_tags"], detail["ctx"]["tag"]),
    "union_tag_not_found": _tagless,
}


def _discriminator(detail: ErrorDetails) -> tuple[str, ...]:
    """Pydantic blames the union for a discriminator that is missing or wrong."""
    if not detail["type"].startswith("union_tag"):
        return ()
    return (str(detail["ctx"]["discriminator"]).strip("'"),)


def _is_long_enough(detail: ErrorDetails) -> bool:
    return len(detail["input"]) >= int(detail["ctx"]["min_length"])


def _joined(first: str, second: str) -> str:
    """Two members of one union both refuse: say what either would take."""
    if first == second or not second.startswith("must be "):
        return first
    return f"{first.partition(' (got ')[0]} or {second.removeprefix('must be ')}"


def _sentence(path: Path, said: str) -> str:
    """A rule over several keys names them itself, in quotes."""
    return said if said.startswith("'") or not path else f"'{dotted(path)}' {said}"


PAST_THE_LINE = " at line 2 column 0"
"""Where the parser of JSON finds a line of JSONL at fault that ends too early: behind its line break."""


class RepeatedKeyError(ValueError):
    """A key stands twice in one JSON object, where parsers keep the last and say nothing."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {shown(key)} stands twice in one object")


def require_distinct_keys(line: bytes, kept: Any) -> None:
    """Raise RepeatedKeyError where a parser kept fewer keys than a line has.

    `kept` is the parsed line. A raw quote and colon ends a key, or stands in
    a text after a backslash; only then, or in earnest, is the line read again.
    """
    if line.count(b'":') + line.count(b'" :') > _keys(kept):
        with suppress(RecursionError):
            json.loads(line, object_pairs_hook=_distinct)


def _keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_keys(item) for item in value.values() if isinstance(item, dict | list | tuple))
    if isinstance(value, list | tuple) and value and isinstance(value[0], dict | list):
        return sum(map(_keys, value))
    return 0


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise RepeatedKeyError(next(name for name in names if names.count(name) > 1))
    return found
