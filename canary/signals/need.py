"""How many more pairs would settle an inconclusive signal."""

from __future__ import annotations

import math

from canary.policy import Alpha
from canary.signals.reading import MINIMUM_PAIRS, Reading
from canary.stats.results import Finding

POWER_Z = 0.8416212335729143
"""Standard normal quantile of 80 % power."""
MOST = 10_000_000
"""More than this is not a plan."""


def pairs_needed(reading: Reading, alpha: Alpha) -> int | None:
    """Additional pairs for 80 % power, if the effect is as observed.

    An interval's half-width shrinks with the root of n, so that n grows by
    (half-width * (z_alpha + z_power) / z_alpha / distance)^2, where distance
    is from the estimate to the nearer of the margin and no change. None where
    evidence is missing, a person must sign off, or no such n exists.
    """
    finding = reading.finding
    if finding is None or reading.missing:
        return None
    if reading.n < MINIMUM_PAIRS:
        return MINIMUM_PAIRS - reading.n
    if finding.noninferior.p < alpha.promote:
        return None
    totals = [total for total in _totals(reading, finding) if reading.n < total <= MOST]
    return min(totals) - reading.n if totals else None


def _totals(reading: Reading, finding: Finding) -> list[int]:
    """Pairs in all for either answer: inside the margin, or harmed."""
    estimate, ratio = finding.estimate, reading.effect == "ratio"
    center, worst = estimate.center, estimate.high if reading.worse > 0 else estimate.low
    harm = reading.worse * (center - (1.0 if ratio else 0.0))
    margin = (reading.margin or 0.0) - (1.0 if ratio else 0.0)
    half = reading.worse * (worst - center)
    if not (math.isfinite(half) and half > 0):
        return []
    z_alpha = _z(estimate.confidence)
    reach = half * (z_alpha + POWER_Z) / z_alpha
    distances = [distance for distance in (margin - harm, harm) if distance > 1e-9]
    return [math.ceil(reading.n * min((reach / distance) ** 2, MOST)) for distance in distances]


def _z(confidence: float) -> float:
    from statistics import NormalDist  # noqa: PLC0415 - only an inconclusive signal needs it

    return NormalDist().inv_cdf((1 + confidence) / 2)
