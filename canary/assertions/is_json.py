"""`is-json`, and JSON held against JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, NoReturn

from pydantic import PlainValidator

from canary.assertions.excerpt import excerpt
from canary.assertions.lift import Metric, Referenced, yes_or_no
from canary.assertions.schema import Check, canonical, check_for
from canary.assertions.template import is_template
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale


def decode(text: str) -> Any:
    """The document that the whole text is; ValueError where it is none.

    Strict: no fence is stripped, NaN and Infinity are no JSON.
    """
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("is not JSON anyone should read: nested too deeply") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"is not JSON: {constant} is no JSON number")


DECODER = json.JSONDecoder(parse_constant=_refuse)


def is_same(left: Any, right: Any) -> bool:
    """Whether two documents are equal; 1 equals 1.0, `true` does not equal 1."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(is_same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(is_same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _schema(value: Any) -> Any:
    if isinstance(value, str) and is_template(value):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("must be a JSON schema: an object")  # noqa: TRY004 - pydantic reports ValueError
    if not is_template(value):
        check_for(canonical(value))
    return dict(value)


class IsJson(Referenced):
    """Passes iff the whole output is JSON, and conforms to `value` if given.

    A fence around the JSON is no JSON: a program that parses the answer would
    stumble over it. `not-is-json` with a schema passes on what is no JSON and
    on what does not conform.
    """

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "is-json"
    value: Annotated[Any, PlainValidator(_schema)] = None

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Parse, then validate."""
        output = response.output
        try:
            document = decode(output)
        except ValueError as error:
            return yes_or_no(f"{error} (got {excerpt(output)})", passed=False)
        check = self.reference(prompt)
        problem = check(document) if check else None
        if problem is not None:
            return yes_or_no(f"breaks the schema: {problem} (got {excerpt(output)})", passed=False)
        return yes_or_no(f"is JSON{' and conforms' if check else ''} (got {excerpt(output)})", passed=True)

    def reference(self, prompt: Prompt) -> Check | None:
        """The schema's check, None without a schema."""
        if self.value is None:
            return None
        return check_for(canonical(_schema(super().reference(prompt))) if self.is_templated else self._canonical)

    @cached_property
    def _canonical(self) -> str:
        return canonical(self.value)
