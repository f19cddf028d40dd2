"""A label as people write it: one answer, one metric, yes or no."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from canary.records import Arm
from canary.written import Written

Order = Literal["given", "swapped"]


class LabelRow(Written):
    """One line of a labels file, and perhaps what a judge said of the same answer."""

    id: str = Field(min_length=1, max_length=256, description="the case's id")
    metric: str = Field(min_length=1, description="the judged metric that was labelled")
    label: StrictBool = Field(description="what people say: does the answer have the property?")
    arm: Arm | None = Field(None, description="which arm's answer; needed to correct a run")
    output: str | None = Field(None, description="the answer that was labelled, word for word")
    stratum: str | None = Field(None, min_length=1, description="null: that of the case")
    judge: StrictBool | None = Field(None, description="what the judge said; null on every line: it is asked")
    order: Order = Field("given", description="of two answers shown side by side")
    repeat: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0, description="which of several answers; with `judge`, which of several judgements"
    )

    @property
    def answer(self) -> tuple[str, str, str | None, str | None]:
        """What was labelled, whatever the judge was asked and how often."""
        return self.metric, self.id, self.arm, self.output

    @property
    def place(self) -> tuple[str, str, str | None, str | None, str, int]:
        """What stands in a file once."""
        return *self.answer, self.order, self.repeat
