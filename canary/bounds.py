"""Which numbers a record may hold: beyond these they are in another unit, or no measurement at all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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
