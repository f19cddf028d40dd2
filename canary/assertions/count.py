"""How long an answer is: in words, or in the engine's own tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from canary.assertions.attempt import abstain
from canary.assertions.lift import Lifted, Metric, yes_or_no
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale
from canary.written import Written

Count = Annotated[int, Field(strict=True, ge=0)]


class Bounds(Written):
    """An inclusive range; one side may be open."""

    min: Count | None = None
    max: Count | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Bounds:
        if self.min is None and self.max is None:
            raise ValueError("must have a min or a max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("must have min <= max")
        return self

    def __contains__(self, count: int) -> bool:
        return (self.min is None or self.min <= count) and (self.max is None or count <= self.max)

    def __str__(self) -> str:
        if self.min == self.max:
            return f"exactly {self.min}"
        low = [] if self.min is None else [f"at least {self.min}"]
        high = [] if self.max is None else [f"at most {self.max}"]
        return " and ".join(low + high)


def _as_bounds(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Mapping | Bounds):
        raise ValueError("must be a whole number, or min and max")  # noqa: TRY004 - pydantic reports ValueError
    return {"min": value, "max": value} if isinstance(value, int) else value


Range = Annotated[Bounds, BeforeValidator(_as_bounds)]
"""An exact number, or `{min, max}`."""


class WordCount(Lifted):
    """Passes iff the number of words, split at white space, is in range."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "word-count"
    value: Range

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - the answer's length alone
        """Count and compare."""
        return _counted(len(response.output.split()), "words", self.value)


class TokenCount(Lifted):
    """Passes iff the recorded `output_tokens` are in range.

    Where the engine recorded none, evidence is missing: an abstention.
    """

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "token-count"
    value: Range

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002
        """Compare what the engine counted."""
        if response.output_tokens is None:
            return abstain("output_tokens is not recorded")
        return _counted(response.output_tokens, "tokens", self.value)


def _counted(count: int, unit: str, bounds: Bounds) -> Grade:
    return yes_or_no(f"has {count} {unit}, asked for {bounds}", passed=count in bounds)
