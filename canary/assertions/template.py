"""`{{expected}}`, `{{baseline}}` and `{{var}}` in an assertion's values.

Names in scope: each of the case's vars, then `vars`, `metadata` and, where
the case has one, `expected`; `baseline` is the baseline's answer to the same
case, another time it was asked, unless a var has that name. A value that is nothing but one dotted name
keeps its type, so `{{expected}}` may be a number, a list or an object; any
other template renders to text, sandboxed, and an unknown name is an error. A
string without `{{` is never touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from canary.records import Prompt

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

_NAME = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.\w+)*)\s*\}\}")
_ABSENT = object()
_BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Referred(Prompt):
    """A case with an answer of the baseline's to hold others against."""

    baseline: str


def with_baseline(prompt: Prompt, answer: str) -> Prompt:
    """The case with the baseline's answer in scope."""
    return Referred(**{field.name: getattr(prompt, field.name) for field in fields(Prompt)}, baseline=answer)


def has_baseline(prompt: Prompt) -> bool:
    """Whether a var of the case's own takes the name."""
    return _BASELINE in prompt.vars


def asks_baseline(defaults: Any, prompt: Prompt) -> bool:
    """Whether the suite's assertions or the case's own ask for the baseline's answer to it."""
    return not has_baseline(prompt) and (needs_baseline(defaults) or needs_baseline(prompt.asserts))


def needs_baseline(spec: Any) -> bool:
    """Whether a template anywhere in it asks for the baseline's answer, unless a case has a var of that name."""
    if isinstance(spec, str):
        return "{{" in spec and _BASELINE in _names(spec)
    parts = spec.values() if isinstance(spec, Mapping) else spec if isinstance(spec, list | tuple) else ()
    return any(map(needs_baseline, parts))


def is_template(value: Any) -> bool:
    """Whether any string inside is one."""
    if isinstance(value, str):
        return "{{" in value
    if isinstance(value, Mapping):
        return any(is_template(item) for item in value.values())
    return isinstance(value, list | tuple) and any(is_template(item) for item in value)


def render(value: Any, prompt: Prompt) -> Any:
    """The value with every string inside it filled from the case."""
    if not is_template(value):
        return value
    return _walk(value, lambda text: _fill(text, scope(prompt)))


def require_template(value: Any) -> None:
    """Raise ValueError when a string inside is not a template at all."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - only templates pay for it

    try:
        _walk(value, compiled)
    except TemplateSyntaxError as error:
        raise ValueError(f"must be a valid template: {error.message}") from error


def scope(prompt: Prompt) -> dict[str, Any]:
    """The names a template may use."""
    beside = {_BASELINE: prompt.baseline} if isinstance(prompt, Referred) else {}
    names = {"vars": prompt.vars, "metadata": prompt.metadata, **beside, **prompt.vars}
    return names if prompt.expected is None else {**names, "expected": prompt.expected}


def transformed(text: str, prompt: Prompt, output: str) -> str:
    """A transform's text: the case's names and `output`, filter `fromjson` for JSON."""
    return compiled(text).render({**scope(prompt), "output": output})


def _walk(value: Any, fill: Callable[[str], Any]) -> Any:
    if isinstance(value, str):
        return fill(value) if "{{" in value else value
    if isinstance(value, Mapping):
        return {key: _walk(item, fill) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(item, fill) for item in value]
    return value


def _fill(text: str, names: Mapping[str, Any]) -> Any:
    name = _NAME.fullmatch(text)
    found = _look_up(name[1], names) if name else _ABSENT
    return compiled(text).render(names) if found is _ABSENT else found


def _look_up(dotted: str, names: Mapping[str, Any]) -> Any:
    found: Any = names
    for key in dotted.split("."):
        found = found.get(key, _ABSENT) if isinstance(found, Mapping) else _ABSENT
    return found


@lru_cache(maxsize=4096)
def compiled(text: str) -> Template:
    """The text as a template: sandboxed, an unknown name is an error, nothing is escaped."""
    return _environment().from_string(text)


@lru_cache(maxsize=4096)
def _names(text: str) -> frozenset[str]:
    """The names that a template asks for; none of what is no template."""
    from jinja2 import TemplateSyntaxError, meta  # noqa: PLC0415 - only templates pay for it

    try:
        return frozenset(meta.find_undeclared_variables(_environment().parse(text)))
    except TemplateSyntaxError:
        return frozenset()


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined  # noqa: PLC0415 - only templates pay for it
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters["fromjson"] = json.loads
    return environment
