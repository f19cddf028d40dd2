"""What the baseline does to itself, held against what a signal claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from canary.calibration import Calibration, Noise
from canary.plan import Plan
from canary.records import POOLED, Decision, Tier
from canary.signals.levels import final_levels
from canary.signals.reading import Reading
from canary.stats.noise import noise_margin, too_quiet
from canary.stats.power import continuous_power, tango_power

LIKELY = 0.5
"""A margin that an unchanged release passes less often than this is below the noise."""
CERTAIN = 0.99
"""From here on the margin is so wide that its chance need not be computed."""
SUSPICIOUS = 0.001
"""P-value below which two arms agree more than one release agrees with itself."""


def mind_noise(readings: Sequence[Reading], plan: Plan) -> tuple[Reading, ...]:
    """The readings with what the plan's calibration says of each.

    Where the baseline against itself was rolled back, the bench is at fault
    and no blocking signal has evidence.
    """
    calibration = plan.calibration
    if calibration is None:
        return tuple(readings)
    if calibration.verdict is Decision.ROLLBACK:
        why = f"the bench is not stable: the baseline against itself was rolled back ({calibration.reason})"
        return tuple(_disbelieved(reading, why) for reading in readings)
    return tuple(_noted(reading, calibration, final_levels(plan).promote) for reading in readings)


def _disbelieved(reading: Reading, why: str) -> Reading:
    return replace(reading, missing=(*reading.missing, why)) if reading.tier is Tier.BLOCKING else reading


def _noted(reading: Reading, calibration: Calibration, alpha: float) -> Reading:
    noise = calibration.of(reading.metric, reading.stratum or POOLED) if reading.kind == "quality" else None
    if noise is None or not reading.is_measured:
        return reading
    return replace(reading, warnings=(*reading.warnings, *_below_noise(reading, noise, alpha), *_quiet(reading, noise)))


def _below_noise(reading: Reading, noise: Noise, alpha: float) -> Iterator[str]:
    finding, margin = reading.finding, reading.margin or 0.0
    if finding is None:
        return
    counts = finding.discordance is not None
    variance = noise.discordance if counts else noise.spread**2
    if variance == 0 or margin >= noise_margin(variance, reading.n, alpha, CERTAIN) + finding.reach / (reading.n + 1):
        return
    chance = (
        tango_power(reading.n, variance, 0.0, margin, alpha)
        if counts
        else continuous_power(reading.n, noise.spread, 0.0, margin, alpha, reach=finding.reach)
    )
    if chance < LIKELY:
        measured = f"discordance {noise.discordance:.0%}" if counts else f"spread {noise.spread:.2g}"
        yield f"an unchanged release would pass this margin only {chance:.0%} of the time at the measured {measured}"


def _quiet(reading: Reading, noise: Noise) -> Iterator[str]:
    """Once, for all strata together: a cache answers for both arms."""
    finding = reading.finding
    if finding is None or finding.discordance is None or reading.stratum != POOLED:
        return
    here, there = round(finding.discordance * reading.n), round(noise.discordance * noise.n)
    if too_quiet(here, reading.n, there, noise.n) < SUSPICIOUS:
        yield (
            f"the arms differ on {here} of {reading.n} cases, while the baseline differed from itself on {there} of "
            f"{noise.n}: are answers cached, or the two arms one release?"
        )
