"""What a signal has measured, before the family of tests is known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from canary.contrast import Contrast
from canary.plan import Plan
from canary.records import MINIMUM_PAIRS, Comparison, Status, Tier
from canary.signals.levels import final_levels
from canary.signals.wording import Unit
from canary.stats.results import Finding
from canary.stats.strata import Kind, compare_pooled
from canary.timing import RatioRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What an e-process has shown of one signal, at any moment one cares to look."""

    status: Status
    """FAIL for harm, PASS for being inside the margin."""
    log_e: float
    """Logarithm of the e-value, adjusted for the family where it shows harm."""
    alpha: float
    """The level it was held against: it is certain from 1/alpha."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One signal's evidence; `settle` turns it into a status."""

    name: str
    kind: str
    stratum: str | None
    metric: str
    tier: Tier
    effect: str
    """`difference` or `ratio`."""
    unit: Unit
    worse: int
    """+1 where up is harm, -1 where down is."""
    margin: float | None
    """Positive; for a ratio the largest tolerated one, for a floor zero."""
    sign_off: float | None
    """A proven loss beyond this needs a person even inside `margin`."""
    finding: Finding | None
    """None where nothing could be measured."""
    n: int
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    floor_s: float = 0.0
    """The margin in seconds of rise, where a floor sets it; 0 where a ratio does."""
    counted: str = "pairs"
    """What `n` counts, in words."""
    per_minute: float | None = None
    """How many more of them come in a minute; None where nothing goes on."""

    @property
    def is_measured(self) -> bool:
        """Whether there is evidence enough for a p-value to count."""
        return self.finding is not None and not self.missing and self.n >= MINIMUM_PAIRS


def read(  # noqa: PLR0913 - one name per fact a signal declares
    evidence: Comparison | Contrast,
    test: Callable[[], Finding],
    *,
    name: str = "",
    metric: str = "",
    tier: Tier,
    effect: str,
    unit: Unit,
    worse: int,
    margin: float,
    sign_off: float | None = None,
) -> Reading:
    """Run one test on pairs or on two streams; a test that is undefined is missing evidence.

    `name` and `metric` are the evidence's own unless several are read from it.
    """
    finding, missing, n = None, evidence.missing, evidence.n
    if n:
        try:
            finding = test()
        except ValueError as undefined:
            missing = (*missing, str(undefined))
    elif not missing:
        lacks = (
            "no pair carries it in both arms"
            if isinstance(evidence, Comparison)
            else "no request of one arm carries it"
        )
        missing = (lacks,)
    reading = Reading(
        name=name or evidence.name,
        kind=evidence.kind,
        stratum=evidence.stratum,
        metric=metric or evidence.metric,
        tier=tier,
        effect=effect,
        unit=unit,
        worse=worse,
        margin=finding.margin if finding else margin,
        sign_off=sign_off,
        finding=finding,
        n=finding.estimate.n if finding else n,
        missing=missing,
        warnings=(*evidence.warnings, *(finding.warnings if finding else ())),
    )
    return reading if isinstance(evidence, Comparison) else _of_streams(reading, evidence)


def with_floor(reading: Reading, rule: RatioRule) -> Reading:
    """The reading of a latency, which knows whether its margin is the policy's floor."""
    return replace(reading, floor_s=rule.floor_in(reading.margin or 0.0))


def _of_streams(reading: Reading, contrast: Contrast) -> Reading:
    """What is counted in each arm, and how fast more of it comes."""
    return replace(
        reading,
        counted=f"{'sessions' if contrast.sticky else 'requests'} an arm",
        per_minute=contrast.n / contrast.minutes if contrast.minutes > 0 else None,
    )


def compare_shares(comparison: Comparison, plan: Plan, *, margin: float, kind: Kind) -> Finding:
    """The paired comparison that errors, rejections and serving share: higher is better."""
    return compare_pooled(
        comparison.baseline,
        comparison.candidate,
        dense(comparison.clusters),
        comparison.strata,
        comparison.weights,
        margin=margin,
        alpha=final_levels(plan).promote,
        kind=kind,
        seed=seed_of(plan, comparison.name),
    )


def as_rate_of_harm(finding: Finding) -> Finding:
    """The same finding about the share that failed instead of the share that did not."""
    return turned(finding, 1)


def turned(finding: Finding, whole: int) -> Finding:
    """The same finding about `whole` less each value: what was better up is then better down."""
    estimate = finding.estimate
    return replace(
        finding,
        estimate=replace(estimate, center=0 - estimate.center, low=0 - estimate.high, high=0 - estimate.low),
        baseline=whole - finding.baseline,
        candidate=whole - finding.candidate,
    )


def seed_of(plan: Plan, name: str) -> int:
    """The seed of one signal's resampling: a function of plan and name only."""
    return int(hashlib.sha256(f"{plan.digest()}/{name}".encode()).hexdigest()[:12], 16)


def dense(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same partition, numbered from zero without gaps."""
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)
