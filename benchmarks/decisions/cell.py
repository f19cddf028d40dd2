"""One situation: what is true, and the counts that R runs would see."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.decisions.counts import Counts
from canary.policy import Policy

RUNS = 4_000
"""Simulated runs or subsamples a cell: 3 standard errors are at most 2.4 points, 1.1 at 5 %."""

UNCHANGED, BETTER, HARM, BETWEEN = "unchanged", "better", "harm", "between"
"""What the candidate truly is. Harm: a loss at or beyond a margin of the default policy."""

_QUALITY = Policy().quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """R runs of one situation."""

    evidence: str
    """Where the pairs come from."""
    truth: str
    """What is true of the candidate, in words."""
    kind: str
    """UNCHANGED, BETTER, HARM or BETWEEN."""
    pairs: str
    """Pairs of one run."""
    discordance: float
    """Share of pairs whose result differs between the arms."""
    counts: Counts


def kind_of(pooled: float, strata: list[float]) -> str:
    """What true differences amount to under the default policy."""
    at = 1e-9
    if pooled <= -_QUALITY.max_drop + at or min(strata, default=0) <= -_QUALITY.stratum.max_drop + at:
        return HARM
    if pooled == 0 and not any(strata):
        return UNCHANGED
    return BETTER if pooled > 0 else BETWEEN
