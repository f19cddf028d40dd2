"""How many more pairs would settle an inconclusive signal."""

from __future__ import annotations

import math

from canary.policy import Alpha
from canary.records import MINIMUM_PAIRS
from canary.signals.reading import Reading
from canary.stats.power import more_events, more_pairs_binary, more_pairs_continuous, more_units
from canary.stats.results import Finding


def pairs_needed(reading: Reading, adjusted: float | None, alpha: Alpha) -> int | None:
    """Additional pairs for an answer with 80 % power, if the effect is as observed.

    `adjusted` is the corrected p-value of harm, which says what share of
    alpha is left to it. None where evidence is missing, a person must sign
    off, or no such number exists.
    """
    finding = reading.finding
    if finding is None or reading.missing:
        return None
    if reading.n < MINIMUM_PAIRS:
        return MINIMUM_PAIRS - reading.n
    if finding.noninferior.p < alpha.promote:
        return None
    share = finding.harm.p / adjusted if adjusted else 1.0
    return _needed(reading, finding, (alpha.promote, alpha.rollback * share))


def _needed(reading: Reading, finding: Finding, levels: tuple[float, float]) -> int | None:
    """Exact for pass/fail, by noncentral t for means, by the interval for the rest."""
    delta, margin, n = -reading.worse * finding.estimate.center, reading.margin or 0.0, reading.n
    if finding.discordance is not None:
        return more_pairs_binary(finding.discordance, delta, n, margin, levels)
    if finding.units is not None:
        rates = finding.baseline, finding.candidate
        bad = rates if reading.worse > 0 else (1 - rates[0], 1 - rates[1])
        return more_events(bad, finding.units, margin, levels)
    if finding.spread is not None:
        return more_pairs_continuous(finding.spread, delta, n, margin, levels, reach=finding.reach)
    return _by_interval(reading, finding)


def _by_interval(reading: Reading, finding: Finding) -> int | None:
    estimate, one = finding.estimate, 1.0 if reading.effect == "ratio" else 0.0
    harm, margin = reading.worse * (estimate.center - one), (reading.margin or 0.0) - one
    half = reading.worse * ((estimate.high if reading.worse > 0 else estimate.low) - estimate.center)
    if not (math.isfinite(half) and half > 0):
        return None
    return more_units(half, (margin - harm, harm), reading.n, (1 - estimate.confidence) / 2)
