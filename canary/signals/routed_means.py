"""Cost and graded quality of two streams, by routing key."""

from __future__ import annotations

import numpy as np

from canary.contrast import Contrast, Stream
from canary.plan import Plan
from canary.records import Scale
from canary.signals.levels import final_levels
from canary.signals.wording import SHOWN_ONLY
from canary.stats.results import Estimate, Finding, Test
from canary.stats.streams import Units, compare_streams_mean, compare_streams_ratio, overlap_weights
from canary.stats.vector import Floats, tally


def compare_cost(contrast: Contrast, max_ratio: float, plan: Plan) -> Finding:
    """Dollars per request, session or token as a ratio."""
    arms = _units(contrast)
    return shown(compare_streams_ratio(*arms, max_ratio=max_ratio, alpha=final_levels(plan).promote), plan)


def compare_quality(contrast: Contrast, margin: float, plan: Plan) -> Finding:
    """Mean scores as a difference; higher is better.

    Raises ValueError for ordinal grades, whose means mean nothing.
    """
    if contrast.scale is Scale.ORDINAL:
        raise ValueError("ordinal grades can only be compared in pairs, on the same prompts")
    arms = _units(contrast)
    alpha = final_levels(plan).promote
    return shown(compare_streams_mean(*arms, reach=1.0, bounded=True, margin=margin, alpha=alpha), plan)


def shown(finding: Finding, plan: Plan) -> Finding:
    """The finding, or while the log grows only what both arms have: its test has one look, at the end."""
    if plan.traffic is None or not plan.traffic.open:
        return finding
    n, nothing = finding.estimate.n, Test(p=1.0, n=finding.estimate.n, method="none")
    return Finding(
        estimate=Estimate(
            center=finding.estimate.center,
            low=-np.inf,
            high=np.inf,
            confidence=finding.estimate.confidence,
            n=n,
            method=SHOWN_ONLY,
        ),
        harm=nothing,
        noninferior=nothing,
        can_reject=False,
        baseline=finding.baseline,
        candidate=finding.candidate,
        margin=finding.margin,
        method=SHOWN_ONLY,
        warnings=finding.warnings,
    )


def _units(contrast: Contrast) -> tuple[Units, Units]:
    arms = contrast.baseline, contrast.candidate
    keys = [np.unique(stream.units) for stream in arms]
    weights = overlap_weights(*(stream.phases[own] for stream, own in zip(arms, keys, strict=True)))
    return _sums(arms[0], weights[0]), _sums(arms[1], weights[1])


def _sums(stream: Stream, weights: Floats) -> Units:
    codes = np.unique(stream.units, return_inverse=True)[1].astype(np.int64)
    return Units(
        tally(codes, stream.values),
        tally(codes, stream.sizes),
        weights,
    )
