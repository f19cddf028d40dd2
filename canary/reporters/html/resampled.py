"""A second opinion on uncertain means: bootstrap intervals, shown and never decided by."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from canary.compare import compare
from canary.errors import EvidenceError
from canary.plan import Plan
from canary.records import MINIMUM_PAIRS, POOLED, Comparison, Evidence, Scale, Verdict
from canary.signals.reading import dense, seed_of
from canary.stats.bca import bca_ratio

MOST = 20_000
"""Cases; with more the mean is so sure that its interval needs no second opinion."""


def resampled(verdict: Verdict, evidence: Evidence, plan: Plan) -> tuple[str, ...]:
    """BCa intervals of graded scores and of cost, over all cases, one sentence each.

    Pass and fail have exact methods and need none. Of routed traffic, of the
    candidate alone and of a run that was stopped early there are none.
    """
    stopped = verdict.looks is not None and verdict.looks.stopped_at is not None
    if plan.traffic is not None or plan.stage == "build" or stopped or len(evidence.prompts) > MOST:
        return ()
    try:
        comparisons = compare(evidence, plan)
    except EvidenceError:  # nothing that could be judged again; the verdict's own intervals are all there is
        return ()
    shown = {signal.name: signal for signal in verdict.signals if signal.low is not None or signal.high is not None}
    return tuple(
        sentence
        for comparison in comparisons
        if comparison.name in shown and comparison.n >= MINIMUM_PAIRS
        for sentence in _interval(comparison, 1 - 2 * verdict.alpha["promote"], seed_of(plan, comparison.name))
    )


def _interval(comparison: Comparison, confidence: float, seed: int) -> Iterator[str]:
    is_score = comparison.kind == "quality" and comparison.scale in {Scale.BOUNDED, Scale.UNBOUNDED}
    ratio = comparison.kind == "cost"
    if comparison.stratum != POOLED or comparison.timed or not (is_score or ratio):
        return  # what is paid for by time hangs together in time: single cases, drawn again, would say too much
    top = comparison.candidate if ratio else comparison.candidate - comparison.baseline
    bottom = comparison.baseline if ratio else np.ones(comparison.n)
    if bottom.sum() <= 0:
        return
    found = bca_ratio(top, bottom, dense(comparison.clusters), confidence=confidence, seed=seed)
    if np.isfinite([found.low, found.high]).all():
        ends = f"×{found.low:.3f} to ×{found.high:.3f}" if ratio else f"{found.low:+.3f} to {found.high:+.3f}"
        yield f"{comparison.name}: {ends} ({found.method}, unweighted, {100 * confidence:g} %)"
