"""What users write under `assert`, read into assertions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from canary.assertions.adapted import Adapted, require_transform
from canary.assertions.excerpt import excerpt, shorten
from canary.assertions.group import AssertSet, weight_of
from canary.assertions.leaf import leaves
from canary.assertions.lift import Metric, Threshold
from canary.assertions.negation import Negated
from canary.assertions.similar import LEARNED, Similar
from canary.assertions.table import ASSERTIONS
from canary.errors import ConfigError, PluginError
from canary.protocols import Assertion
from canary.records import Scale
from canary.validation import nearest
from canary.written import Written

NOT = "not-"
_FAMILY = "ifeval:"
_TEXT = TypeAdapter(str)


class Group(Written):
    """`assert-set` as it is written."""

    scale: ClassVar[Scale] = Scale.BOUNDED
    metric: Metric
    members: tuple[Any, ...] = Field(alias="assert", min_length=1)
    threshold: Threshold | None = None


_NO_PLUGINS: Mapping[str, type] = MappingProxyType({})
_WORDS = {
    "less than or equal to": "at most",
    "greater than or equal to": "at least",
    "a valid number": "a number",
    "a valid integer": "a whole number",
    "a valid string": "text",
    "a valid boolean": "true or false",
}


def parse(spec: Mapping[str, Any], plugins: Mapping[str, type] = _NO_PLUGINS, where: str = "assert") -> Assertion:
    """The assertion that a spec describes; `metric` defaults to its type.

    ConfigError with every problem of the spec, each named by its place under
    `where` (`assert[0]`, say). Imports the function that `python` names.
    """
    if not isinstance(spec, Mapping):
        raise ConfigError(f"'{where}' must be a mapping with a 'type' (got {excerpt(spec)})")
    table = ASSERTIONS | {"assert-set": Group} | dict(plugins)
    name = spec.get("type")
    kind = name.removeprefix(NOT) if isinstance(name, str) else ""
    if kind not in table:
        raise ConfigError(_unknown_type(name, table, where))
    own = {key: value for key, value in spec.items() if key not in ("type", "transform", "weight")}
    keys = {"metric": str(name).replace(":", ".")} | own
    assertion = _built(table[kind], keys, where)
    if isinstance(assertion, Group):
        members = tuple(
            _member(member, plugins, f"{where}.assert[{index}]") for index, member in enumerate(assertion.members)
        )
        assertion = _set(assertion, members, where)
    assertion = assertion if kind == name else _negated(assertion, kind, where)
    return _adapted(assertion, spec, where)


def is_structural(assertion: Assertion) -> bool:
    """Whether it needs nothing but the response; a plugin that does says so."""
    return all(getattr(type(leaf), "structural", False) is True for leaf, _ in leaves(assertion))


def asks_judge(assertion: Assertion) -> bool:
    """Whether a judge decides it."""
    return any(getattr(type(leaf), "asks_judge", False) is True for leaf, _ in leaves(assertion))


def is_learned(assertion: Assertion) -> bool:
    """Whether its threshold is what a calibration measured."""
    return any(isinstance(leaf, Similar) and leaf.threshold == LEARNED for leaf, _ in leaves(assertion))


def _unknown_type(name: Any, table: Mapping[str, type], where: str) -> str:
    shown = [*(name for name in table if not name.startswith(_FAMILY)), f"{_FAMILY}<group>:<name>"]
    valid = f"(valid: {', '.join(shown)}, each also with {NOT!r} before it)"
    if name is None:
        return f"'{where}.type' is required {valid}"
    meant = _meant(name, [*table, *(NOT + kind for kind in table)])
    return f"'{where}.type' is no assertion we know: {excerpt(name)}{meant} {valid}"


def _meant(name: Any, valid: Iterable[str]) -> str:
    near = nearest(str(name), valid)
    return f"; did you mean {near!r}?" if near else ""


def _built(cls: type, keys: Mapping[str, Any], where: str) -> Assertion:
    valid = _keys(cls)
    unknown = [key for key in keys if key not in valid]
    problems = [
        f"'{where}.{key}' is not a known key{_meant(key, valid)} (valid: type, transform, weight, {', '.join(valid)})"
        for key in unknown
    ]
    try:
        assertion = _adapter(cls).validate_python({key: value for key, value in keys.items() if key in valid})
    except ValidationError as error:
        raise ConfigError(problems + [_problem(detail, where) for detail in error.errors()]) from None
    if problems:
        raise ConfigError(problems)
    if not isinstance(assertion.scale, Scale):
        raise PluginError(f"{cls.__module__}.{cls.__qualname__} must declare its scale (got {assertion.scale!r})")
    return assertion  # type: ignore[no-any-return]


@cache
def _adapter(cls: type) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


@cache
def _keys(cls: type) -> tuple[str, ...]:
    if issubclass(cls, BaseModel):
        return tuple(field.alias or name for name, field in cls.model_fields.items())
    if is_dataclass(cls):
        return tuple(field.name for field in fields(cls) if field.init)
    raise PluginError(f"{cls.__module__}.{cls.__qualname__} must be a frozen dataclass or a pydantic model")


def _problem(detail: ErrorDetails, where: str) -> str:
    place = ".".join([where, *map(str, detail["loc"])])
    if detail["type"] == "missing":
        return f"'{place}' is required"
    if detail["type"] == "extra_forbidden":
        return f"'{place}' is not a known key"
    said = str(detail["ctx"]["error"]) if detail["type"] == "value_error" else _shortened(detail["msg"])
    return f"'{place}' {shorten(said)} (got {excerpt(detail['input'])})"


def _shortened(message: str) -> str:
    text = message.replace("Input should be", "must be").replace("String should", "must")
    for words, plain in _WORDS.items():
        text = text.replace(words, plain)
    return text if text.startswith("must") else f"must be valid: {text}"


def _member(spec: Any, plugins: Mapping[str, type], where: str) -> Assertion:
    member = parse(spec, plugins, where)
    if asks_judge(member):
        raise ConfigError(f"'{where}' must not ask a judge: a judge answers for itself, outside of a set")
    if is_learned(member):
        raise ConfigError(f"'{where}.threshold' must be a number in a set: only what has a score of its own is learned")
    if member.scale not in (Scale.PASS_FAIL, Scale.BOUNDED):
        raise ConfigError(f"'{where}' must score from 0 to 1 (got {member.scale})")
    return member


def _set(group: Group, members: tuple[Assertion, ...], where: str) -> AssertSet:
    if not any(map(weight_of, members)):
        raise ConfigError(f"'{where}.assert' must have a member whose 'weight' is not 0")
    return AssertSet(metric=group.metric, members=members, threshold=group.threshold)


def _adapted(assertion: Assertion, spec: Mapping[str, Any], where: str) -> Assertion:
    """With the keys that any assertion takes."""
    transform, weight = spec.get("transform"), spec.get("weight", 1)
    try:
        if transform is not None:
            require_transform(_TEXT.validate_python(transform))
    except ValueError as error:
        said = "must be text" if isinstance(error, ValidationError) else str(error)
        raise ConfigError(f"'{where}.transform' {said}") from None
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
        raise ConfigError(f"'{where}.weight' must be a number >= 0 (got {excerpt(weight)})")
    if weight not in (0, 1) and ".assert[" not in where:
        raise ConfigError(f"'{where}.weight' must be 0 or 1 outside of an assert-set (got {excerpt(weight)})")
    return (
        assertion
        if transform is None and weight == 1
        else Adapted(positive=assertion, transform=transform, weight=float(weight))
    )


def _negated(assertion: Assertion, kind: str, where: str) -> Negated:
    if not getattr(type(assertion), "has_opposite", True):
        raise ConfigError(f"'{where}.type' must not negate {kind!r}: the worse of two is no better choice")
    if is_learned(assertion):
        raise ConfigError(f"'{where}.threshold' must be a number under {NOT!r}: learned is how alike answers stay")
    if assertion.scale not in (Scale.PASS_FAIL, Scale.BOUNDED):
        raise ConfigError(
            f"'{where}.type' must not negate {kind!r}: the opposite of an {assertion.scale} score is unknown"
        )
    return Negated(metric=assertion.metric, positive=assertion)
