"""How far a judge agrees with people, measured once and kept beside the suite.

`canary calibrate judge` writes it; a plan embeds it, so that a verdict stays a
function of evidence and plan. It says nothing of when or where it was measured.
The four counts of each stratum decide; the rates beside them are for readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from canary.calibration import Amount, Count, Sha256, Share
from canary.records import POOLED
from canary.written import Written

JUDGE_SCHEMA: Literal["canary-gate/judge/1"] = "canary-gate/judge/1"


class Rate(Written):
    """A rate, or a sum of two less one, with its two-sided 90 % interval."""

    value: float = Field(ge=-1, le=1, allow_inf_nan=False)
    low: float = Field(ge=-1, le=1, allow_inf_nan=False, description="lower end: at least this with 95 %")
    high: float = Field(ge=-1, le=1, allow_inf_nan=False)


class Flips(Written):
    """How often a judge that is asked again says something else."""

    n: Count = Field(description="judgements that were asked again")
    rate: Share


class Agreement(Written):
    """A judge against people in one stratum."""

    stratum: str = Field(min_length=1, description="`all` for every stratum together")
    both_yes: int = Field(ge=0, description="people say yes, and so does the judge")
    missed: int = Field(ge=0, description="people say yes, the judge no")
    flattered: int = Field(ge=0, description="people say no, the judge yes")
    both_no: int = Field(ge=0, description="people say no, and so does the judge")
    agreement: Share = Field(description="share of answers of which both say the same")
    base_rate: Share = Field(description="share of answers of which people say yes")
    kappa: float = Field(ge=-1, le=1, allow_inf_nan=False, description="agreement beyond chance (Cohen)")
    sensitivity: Rate | None = Field(description="null: people said yes to none")
    specificity: Rate | None = Field(description="null: people said no to none")
    informedness: Rate | None = Field(description="sensitivity + specificity - 1")
    fit: bool = Field(description="whether the low end of informedness is at least 0.2")
    order: Flips | None = Field(None, description="under the other order of two answers")
    repetition: Flips | None = Field(None, description="asked the same again")

    @property
    def n(self) -> int:
        """Labelled answers."""
        return self.both_yes + self.missed + self.flattered + self.both_no


class JudgeCalibration(Written):
    """One judged metric: who was measured, on which labels, with what result."""

    metric: str = Field(min_length=1)
    judge: Sha256 = Field(description="digest of the judge: its model, the rubric, the words it is asked in")
    labels: Sha256 = Field(description="digest of the labels, whatever their order")
    asked: bool = Field(description="whether the judge was asked, or the labels held what it had said")
    abstained: int = Field(ge=0, description="labelled answers of which the judge said nothing that counts")
    fit: bool = Field(description="whether it may decide over all strata")
    reason: str
    cost_usd: Amount | None = Field(None, description="mean of a judgement; null where nothing says")
    tokens: Amount | None = Field(None, description="mean of a judgement, read and written")
    strata: tuple[Agreement, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> JudgeCalibration:
        names = [agreement.stratum for agreement in self.strata]
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise ValueError(f"'strata' must name each stratum once (got {doubled!r} twice)")
        if POOLED not in names:
            raise ValueError("'strata' must hold the stratum 'all'")
        return self

    def of(self, stratum: str) -> Agreement | None:
        """What was measured in one stratum, or over `all` of them."""
        return next((agreement for agreement in self.strata if agreement.stratum == stratum), None)


class JudgeFile(Written):
    """Every judged metric of a suite that was calibrated."""

    schema_: Literal["canary-gate/judge/1"] = Field(alias="schema")
    sha256: Sha256 = Field(description="of all that follows; an edited file is refused")
    judges: tuple[JudgeCalibration, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_each_once(self) -> JudgeFile:
        metrics = [judge.metric for judge in self.judges]
        doubled = next((name for name in metrics if metrics.count(name) > 1), None)
        if doubled is not None:
            raise ValueError(f"'judges' must name each metric once (got {doubled!r} twice)")
        return self

    def of(self, metric: str) -> JudgeCalibration | None:
        """The calibration of one metric."""
        return next((judge for judge in self.judges if judge.metric == metric), None)


def labels_of(agreement: Agreement) -> Iterator[tuple[bool, bool]]:
    """What people and the judge said of each answer, in pairs."""
    yield from [(True, True)] * agreement.both_yes
    yield from [(True, False)] * agreement.missed
    yield from [(False, True)] * agreement.flattered
    yield from [(False, False)] * agreement.both_no
