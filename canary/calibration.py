"""What the baseline does to itself, measured once and kept with the pipeline.

`canary calibrate noise` writes it; a plan embeds it, so that a verdict stays a
function of evidence and plan. It says nothing of when or where it was measured.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from canary.records import Decision
from canary.written import Fraction, Written

NOISE_SCHEMA: Literal["canary-gate/noise/1"] = "canary-gate/noise/1"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Noise(Written):
    """How one metric of one stratum differs between two runs of the baseline."""

    metric: str
    stratum: str = Field(description="`all` for every stratum together")
    n: Count = Field(description="prompts answered by both runs")
    discordance: Share = Field(description="share of prompts whose result differs")
    spread: Amount = Field(description="standard deviation of a prompt's difference")
    within: Amount = Field(description="variance of one answer about its prompt's mean")


class Rhythm(Written):
    """How one latency hangs together in time, from paired differences in order."""

    metric: str
    n: Count = Field(description="pairs in order of time")
    block: Count = Field(description="requests per block that the autocorrelation calls for")
    autocorrelation: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] = Field(description="at lag one")


LIKENESS = "drift/likeness"
"""The metric of how alike two answers of the baseline to one case are."""


class Similarity(Written):
    """How close the baseline's own answers come to their references, or to each other."""

    metric: str
    n: Count
    alpha: Fraction
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        description="an unchanged answer falls below it with chance at most alpha"
    )


class Usage(Written):
    """What one answer of the baseline took, on average; null where not recorded."""

    input_tokens: Amount | None
    output_tokens: Amount | None
    total_s: Amount | None


class Calibration(Written):
    """A measured run of the baseline against itself."""

    schema_: Literal["canary-gate/noise/1"] = Field(alias="schema")
    baseline: Sha256 = Field(description="digest of the release that was measured")
    golden: Sha256 = Field(description="digest of the cases it was asked")
    scoring: Sha256 = Field(description="digest of the suite's own assertions")
    repeat: Count = Field(description="answers a prompt")
    verdict: Decision = Field(description="what the gate says of the baseline against itself")
    reason: str
    noise: tuple[Noise, ...]
    latency: tuple[Rhythm, ...]
    similar: tuple[Similarity, ...]
    usage: Usage

    def of(self, metric: str, stratum: str) -> Noise | None:
        """The noise of one metric in one stratum, where it was measured."""
        return next((noise for noise in self.noise if (noise.metric, noise.stratum) == (metric, stratum)), None)

    def likeness(self) -> Similarity | None:
        """How alike the baseline's answers are to each other, where that was measured."""
        return next((similar for similar in self.similar if similar.metric == LIKENESS), None)

    def differs(self, baseline: str, golden: str, scoring: str, repeat: int) -> tuple[str, ...]:
        """What was not measured of this baseline, these cases, these assertions, this many answers."""
        facts = (
            (self.baseline != baseline, "of another baseline"),
            (self.golden != golden, "on other cases"),
            (self.scoring != scoring, "with other assertions"),
            (self.repeat != repeat, f"with {self.repeat} answers a prompt, not {repeat}"),
        )
        return tuple(words for is_other, words in facts if is_other)
