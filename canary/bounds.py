"""Which numbers a record may hold: beyond these they are in another unit, or no measurement at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

LONGEST_S = 86_400.0
"""No request takes longer than a day: a larger time is in another unit."""
LATEST_S = 1e11
"""A later epoch second is in another unit (milliseconds, as a rule)."""
MOST_TOKENS = 10**9
"""No request has more."""

Seconds = Annotated[float, Field(ge=0, le=LONGEST_S)]
Moment = Annotated[float, Field(ge=0, le=LATEST_S)]
"""Seconds since the epoch."""
Count = Annotated[int, Field(ge=0, le=MOST_TOKENS)]
"""Of tokens, or of times that a case was asked before."""
Money = Annotated[float, Field(ge=0, le=1e6)]
"""US dollars for one request."""
Share = Annotated[float, Field(ge=0, le=1)]

LEVELS = ("kv_cache", "cpu", "memory")
"""What a server says of itself that is a share of what there is."""


def is_observed(name: str, value: float) -> bool:
    """Whether a server can be so: a level is 0 to 1, all else 0 or more."""
    return 0 <= value <= (1 if name in LEVELS else float("inf"))


def _possible(values: Mapping[str, float]) -> Mapping[str, float]:
    for name, value in values.items():
        if not is_observed(name, value):
            wanted = "0 to 1" if name in LEVELS else "0 or more"
            raise PydanticCustomError("observed", "{what}", {"what": f"'{name}' must be {wanted} (got {value:g})"})
    return values


Readings = Annotated[Mapping[str, float], AfterValidator(_possible)]
"""What one server said at one moment, by name."""
Replica = Annotated[int, Field(ge=0)]
