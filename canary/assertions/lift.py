"""What the assertions here are made of: keys, a reference, one grade each.

A plugin may build on these or be any frozen dataclass that satisfies
`protocols.Assertion`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, field_validator

from canary.assertions.attempt import abstain, attempt
from canary.assertions.template import is_template, render, require_template
from canary.protocols import Grade, Tools
from canary.records import PASS, POOLED, Prompt, Response
from canary.written import Written

RESERVED = frozenset({POOLED, PASS})
"""Metric names with a meaning of their own."""


def _free_name(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"must be another name: {name!r} is reserved")
    return name


Metric = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100), AfterValidator(_free_name)]
Threshold = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]


class Lifted(Written):
    """An assertion that grades one response at a time.

    A response on which `grade` raises is an abstention, the others are not.
    """

    metric: Metric
    structural: ClassVar[bool] = True
    """Whether it needs nothing but the response: stage `build` may use it."""

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]], tools: Tools) -> list[Grade]:  # noqa: ARG002
        """One grade per pair, in order."""
        return [attempt(partial(self.grade, prompt, response), abstain) for prompt, response in pairs]

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Grade one response that is not an error."""
        raise NotImplementedError(f"{type(self).__name__} grades nothing")


class Referenced(Lifted):
    """An assertion with a `value` that may be a template."""

    value: Any
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(lambda value: value)
    """Makes the reference what `grade` wants; ValueError where it cannot be."""

    @cached_property
    def is_templated(self) -> bool:
        """Whether the reference depends on the case."""
        return is_template(self.value)

    @field_validator("value", mode="after", check_fields=False)
    @classmethod
    def _written_well(cls, value: Any) -> Any:
        if is_template(value):
            require_template(value)
        return value

    def reference(self, prompt: Prompt) -> Any:
        """What the response is held against; raises where the case lacks it."""
        return type(self).shape(render(self.value, prompt) if self.is_templated else self.value)


def yes_or_no(reason: str, *, passed: bool) -> Grade:
    """A pass or a fail; the reason is a fact, true under `not-` as well."""
    return Grade(value=1.0 if passed else 0.0, passed=passed, reason=reason)


def at_least(value: float, threshold: float, name: str, rest: str) -> Grade:
    """A number of 0..1 that passes from the threshold on."""
    passed = value >= threshold
    fact = f"{name} {value:.3g} {'>=' if passed else '<'} {threshold:g} {rest}"
    return Grade(value=value, passed=passed, reason=fact.rstrip())
