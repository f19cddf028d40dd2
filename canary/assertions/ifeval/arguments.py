"""What the checks' arguments may be, under IFEval's own names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from canary.assertions.pattern import compiled

REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a check."""

    name: str
    kind: Any
    default: Any


def _is_pattern(text: str) -> str:
    compiled(text)
    return text


Relation = Literal["less than", "at least"]
Number = Annotated[int, Field(strict=True, ge=0)]
Text = Annotated[str, Field(min_length=1)]
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_is_pattern)]


def read(name: str, kind: type, default: Any = REQUIRED) -> Argument:
    """The argument, of the kind that its name tells."""
    if name.endswith("relation"):
        return Argument(name, Relation, default)
    if kind is list:
        return Argument(name, Annotated[tuple[Pattern, ...], Field(min_length=1)], default)
    if name == "letter":
        return Argument(name, Annotated[str, Field(min_length=1, max_length=1)], default)
    return Argument(name, Number if kind is int else Pattern if name == "keyword" else Text, default)
