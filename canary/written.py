"""What every file that a user writes is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=1e-6, lt=1, allow_inf_nan=False)]
Ratio = Annotated[float, Field(gt=1, le=100, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)]
Level = Annotated[float, Field(gt=0, lt=0.5, allow_inf_nan=False)]


class Written(BaseModel):
    """Anything a user writes: frozen, and a key we do not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
