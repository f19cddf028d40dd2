"""Did answers get worse? Pooled, per stratum, and against absolute floors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from canary.plan import Plan
from canary.records import MINIMUM_PAIRS, PASS, POOLED, Comparison, Scale, Tier
from canary.signals.judged import standing
from canary.signals.levels import final_levels
from canary.signals.reading import Reading, dense, read, seed_of
from canary.signals.unsettled import between, settled
from canary.signals.wording import Unit
from canary.stats.floor import check_floor
from canary.stats.judge import compare_judged, ppi_mean
from canary.stats.paired import count_wins
from canary.stats.results import Finding
from canary.stats.strata import compare_pooled

Kind = Literal["binary", "bounded", "unbounded"]


def quality_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """One signal per comparison: two one-sided tests of the paired difference."""
    rule = plan.policy.quality
    pooled = comparison.stratum == POOLED
    trust, tier = standing(comparison, plan), _tier(comparison, plan)
    shrink = trust.shrunk if trust and comparison.human is None else float
    margin = shrink(rule.margin(None if pooled else comparison.stratum))
    yield read(
        comparison if trust is None else trust.said_of(comparison, tier),
        lambda: _test(comparison, plan, margin),
        tier=tier,
        effect="difference",
        unit=_unit(comparison),
        worse=-1,
        margin=margin,
        sign_off=None if pooled else shrink(rule.max_drop),
    )


def floor_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """The candidate alone against the metric's `min_score`."""
    rule = plan.policy.quality.metrics[comparison.metric]
    floor = rule.min_score or 0.0
    trust = standing(comparison, plan)
    if trust and trust.fitness and comparison.scale is Scale.PASS_FAIL:
        floor = trust.fitness.judge_floor(floor)
    yield read(
        comparison if trust is None else trust.said_of(comparison, rule.tier),
        lambda: check_floor(
            comparison.candidate,
            dense(comparison.clusters),
            floor=floor,
            alpha=final_levels(plan).promote,
            kind="unbounded" if comparison.scale is Scale.ORDINAL else _kind(comparison),
        ),
        tier=rule.tier,
        effect="difference",
        unit=_unit(comparison),
        worse=-1,
        margin=0.0,
    )


def _test(comparison: Comparison, plan: Plan, margin: float) -> Finding:
    """The declared scale and the design name the test; the method says both."""
    if comparison.human is not None:
        return _confirmed(comparison, comparison.human, plan, margin)
    finding = _compared(comparison, plan, margin)
    if comparison.unsettled is None:
        return finding
    lost = _compared(settled(comparison, baseline=1.0, candidate=0.0), plan, margin)
    won = _compared(settled(comparison, baseline=0.0, candidate=1.0), plan, margin)
    return between(finding, lost, won, comparison.unsettled[0].size)


def _compared(comparison: Comparison, plan: Plan, margin: float) -> Finding:
    is_ordinal = comparison.scale is Scale.ORDINAL
    arms = (comparison.baseline, comparison.candidate)
    finding = compare_pooled(
        *(count_wins(*arms) if is_ordinal else arms),
        dense(comparison.clusters),
        comparison.strata if comparison.stratum == POOLED else 0 * comparison.strata,
        comparison.weights,
        margin=margin,
        alpha=final_levels(plan).promote,
        kind=_kind(comparison),
        seed=seed_of(plan, comparison.name),
    )
    return replace(finding, method=f"{finding.method}; {_why(comparison)}")


def _confirmed(comparison: Comparison, human: NDArray[np.float64], plan: Plan, margin: float) -> Finding:
    """What people said of a sample corrects the judge; the values shown are those people would give."""
    design = (
        dense(comparison.clusters),
        comparison.strata if comparison.stratum == POOLED else 0 * comparison.strata,
        comparison.weights,
    )
    finding = compare_judged(
        human[1] - human[0],
        comparison.candidate - comparison.baseline,
        *design,
        margin=margin,
        alpha=final_levels(plan).promote,
    )
    before = min(max(ppi_mean(human[0], comparison.baseline, *design).mean, 0.0), 1.0)
    return replace(finding, baseline=before, candidate=before + finding.estimate.center)


def _why(comparison: Comparison) -> str:
    """Why this test: what the metric is declared to be, and how often it was asked."""
    shares = {
        Scale.PASS_FAIL: "pass/fail",
        Scale.BOUNDED: "scores from 0 to 1",
        Scale.ORDINAL: "ordinal grades, counted as better or worse since their steps are no distances",
        Scale.UNBOUNDED: "scores without bounds",
    }
    repeats = f", {comparison.repeat} answers a prompt averaged" if comparison.repeat > 1 else ""
    return f"declared {shares[comparison.scale]}{repeats}"


def _kind(comparison: Comparison) -> Kind:
    """The test follows from the declared scale and the design, not the values."""
    if comparison.scale is Scale.ORDINAL or (comparison.scale is Scale.PASS_FAIL and comparison.repeat == 1):
        return "binary"
    return "unbounded" if comparison.scale is Scale.UNBOUNDED else "bounded"


def _unit(comparison: Comparison) -> Unit:
    """What the two values are counted in; a floor is always on the mean itself."""
    if comparison.scale is Scale.ORDINAL and comparison.kind == "quality":
        return Unit.WON
    by_people = comparison.human is not None and comparison.kind == "quality"
    return Unit.SHARE if by_people or comparison.scale is Scale.PASS_FAIL else Unit.SCORE


def _tier(comparison: Comparison, plan: Plan) -> Tier:
    return tier_of(comparison.stratum, comparison.metric, comparison.n, plan, recorded=comparison.recorded)


def tier_of(stratum: str, metric: str, n: int, plan: Plan, *, recorded: bool) -> Tier:
    """`pass` decides, or every recorded score, unless the policy says otherwise.

    A stratum listed as optional that has too few pairs to decide is shown only.
    """
    rule = plan.policy.quality
    if stratum in rule.stratum.optional and n < MINIMUM_PAIRS:
        return Tier.ADVISORY
    if metric in rule.metrics:
        return rule.metrics[metric].tier
    return Tier.BLOCKING if metric == PASS or recorded else Tier.ADVISORY
