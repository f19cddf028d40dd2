"""What a user may tolerate of times: the policy's `latency:`, with every default."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from canary.records import Tier
from canary.written import Fraction, Ratio, Seconds, Written


class RatioRule(Written):
    """A bound on candidate over baseline."""

    max_ratio: Ratio
    floor_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="a rise of fewer seconds is never harm"
    )
    tier: Tier = Tier.BLOCKING

    def floor_in(self, margin: float) -> float:
        """Seconds of the floor, where it is what makes a tested margin wider than `max_ratio`; else 0."""
        return self.floor_s if margin > self.max_ratio * (1 + 1e-9) else 0.0


class SlowRule(Written):
    """A bound on the share of slow requests; failures count as slow."""

    max_increase: Fraction = 0.02
    threshold_s: Seconds | None = Field(None, description="null: three times the baseline's median")
    tier: Tier = Tier.BLOCKING


MEAN_GAP = "latency/itl/mean"
"""The signal of each answer's mean gap, without the slowest twentieth of answers."""


def rule_of(signal: str) -> str:
    """Where the policy bounds a latency signal: `latency/itl/tm95` bounds the mean of an answer's gaps too."""
    return "latency/itl/tm95" if signal == MEAN_GAP else signal


class TtftBody(RatioRule):
    """Time to first token without the slowest twentieth."""

    max_ratio: Ratio = 1.15
    floor_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.02


class TtftTail(TtftBody):
    """Time to first token without the slowest hundredth."""

    max_ratio: Ratio = 1.30


class ItlBody(RatioRule):
    """Gap between tokens, and each answer's mean gap, without the slowest twentieth."""

    max_ratio: Ratio = 1.15
    floor_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.002


class ItlTail(ItlBody):
    """Gap between tokens without the slowest hundredth."""

    max_ratio: Ratio = 1.30


class TotalBody(RatioRule):
    """Total time within buckets of equal output length; shown only."""

    max_ratio: Ratio = 1.15
    tier: Tier = Tier.ADVISORY


class QuantileRule(RatioRule):
    """A bound on an order statistic; only means have a floor."""

    floor_s: Annotated[float, Field(ge=0, le=0)] = Field(0.0, description="0: only means have a floor")


class QuantileRules(Written):
    """Order statistics, measured only where the policy asks for them."""

    p50: QuantileRule | None = None
    p99: QuantileRule | None = None
    p999: QuantileRule | None = Field(None, alias="p99.9")

    def rules(self) -> dict[str, Any]:
        """Every rule by the metric's name, None where it is switched off."""
        return {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}


class TtftRule(QuantileRules):
    """Time to first token."""

    tm95: TtftBody | None = TtftBody()
    tm99: TtftTail | None = TtftTail()
    slow: SlowRule | None = SlowRule()


class ItlRule(QuantileRules):
    """Inter-token latency."""

    tm95: ItlBody | None = ItlBody()
    tm99: ItlTail | None = ItlTail()
    slow: SlowRule | None = SlowRule()


class TotalRule(QuantileRules):
    """Total time."""

    tm95: TotalBody | None = TotalBody()


class LatencyRules(Written):
    """Three latencies, three sets of bounds."""

    ttft: TtftRule = TtftRule()
    itl: ItlRule = ItlRule()
    total: TotalRule = TotalRule()
