"""Pairs that a judge, or a baseline that gave no second answer, left open count against whatever is claimed.

Nothing is assumed of why: for a promotion the candidate lost each of
them, for a rollback it won each. So no share of abstentions, in whichever arm
and on whichever answers, makes either more likely than the evidence does
(worst-case bounds: Manski 1989).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from canary.records import Comparison
from canary.stats.results import Finding


def settled(comparison: Comparison, *, baseline: float, candidate: float) -> Comparison:
    """The comparison as if each open pair had ended so."""
    if comparison.unsettled is None:
        return comparison
    clusters, strata = comparison.unsettled
    return replace(
        comparison,
        baseline=np.append(comparison.baseline, np.full(clusters.size, baseline)),
        candidate=np.append(comparison.candidate, np.full(clusters.size, candidate)),
        clusters=np.append(comparison.clusters, clusters),
        strata=np.append(comparison.strata, strata),
        unsettled=None,
    )


def between(finding: Finding, lost: Finding, won: Finding, count: int) -> Finding:
    """The finding on what is settled, with the tests and the interval that hold whatever the other `count` are."""
    noted = f"{count} pairs are left open: to promote they count as lost, to roll back as won"
    return replace(
        finding,
        estimate=replace(finding.estimate, low=lost.estimate.low, high=won.estimate.high),
        harm=won.harm,
        can_reject=won.can_reject,
        noninferior=lost.noninferior,
        warnings=(*finding.warnings, noted),
    )
