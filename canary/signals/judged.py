"""A judge must earn its vote: what a judged metric is worth, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from canary.agreement import labels_of
from canary.judging import JudgePlan
from canary.plan import Plan
from canary.records import MINIMUM_PAIRS, POOLED, Comparison, Scale, Tier
from canary.stats.judge import CHOSEN, FIT_FROM, LEAST_LABELLED, Fitness, chance_of_draw, measure_fitness, rogan_gladen

FIT_ALPHA = 0.05
"""Level of the lower bound by which a judge is fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far one judged comparison may be believed."""

    fitness: Fitness | None
    """Of the judge in this stratum; None where it may not decide."""
    missing: tuple[str, ...]
    """Why it may not decide."""
    notes: tuple[str, ...]
    """What the reader of the signal should know."""

    def shrunk(self, margin: float) -> float:
        """A margin as this judge sees it: smaller, as its errors blur every difference."""
        return self.fitness.judge_margin(margin) if self.fitness else margin

    def said_of(self, comparison: Comparison, tier: Tier) -> Comparison:
        """The comparison with what it lacks, where it would decide, or with a remark where it is only shown."""
        if tier is Tier.BLOCKING:
            return replace(
                comparison,
                missing=(*comparison.missing, *self.missing),
                warnings=(*comparison.warnings, *self.notes),
            )
        return replace(comparison, warnings=(*comparison.warnings, *self.missing, *self.notes))


def standing(comparison: Comparison, plan: Plan) -> Standing | None:
    """Of a judged metric, whether its judge may decide here; None of any other."""
    judge = plan.judges.get(comparison.metric)
    if judge is None:
        return None
    problem, fitness = trust(judge, comparison.stratum, plan)
    if problem:
        return Standing(fitness=None, missing=(problem,), notes=())
    if comparison.human is not None:
        lacking = tuple(_lacking(comparison, comparison.human))
        return Standing(fitness=fitness, missing=lacking, notes=tuple(_labelled(comparison, comparison.human)))
    if comparison.scale is not Scale.PASS_FAIL:
        why = "a judge's grades count only beside people's labels of this run's answers: give some (--labels FILE)"
        return Standing(fitness=None, missing=(why,), notes=())
    return Standing(fitness=fitness, missing=(), notes=tuple(_shrinking(comparison, fitness)) if fitness else ())


def trust(judge: JudgePlan, stratum: str, plan: Plan) -> tuple[str, Fitness | None]:
    """What keeps a judge from deciding in a stratum, or over `all`; or how good it is there."""
    again = f"canary calibrate judge {plan.pipeline or 'PIPELINE'} --labels FILE"
    state = judge.state(stratum)
    found = None if judge.calibration is None else judge.calibration.of(stratum)
    if state == "stale":
        return f"its judge was calibrated as another one, since its model, rubric or words changed: {again}", None
    if found is None:
        where = "its judge" if judge.calibration is None else f"on stratum {stratum!r} its judge"
        return f"{where} was never compared with people, so it may be shown but not decide: {again}", None
    try:
        fitness = measure_fitness(*np.array(list(labels_of(found)), dtype=float).reshape(-1, 2).T, alpha=FIT_ALPHA)
    except ValueError:
        only = "yes" if found.both_yes + found.missed else "no"
        return f"its judge is unfit: people said {only} to all {found.n} labelled answers; label others: {again}", None
    if not (fitness.is_fit and found.fit):
        return f"its judge is unfit: {describe(fitness)}; have another judge, or more labels: {again}", None
    return "", fitness


def describe(fitness: Fitness) -> str:
    """Sensitivity, specificity, and the bound that decides."""
    low, right, wrong = fitness.informedness.low, fitness.sensitivity, fitness.specificity
    return (
        f"it passes {right.center:.0%} of {right.n} answers that people pass and fails {wrong.center:.0%} of {wrong.n} "
        f"that they fail; the low end of the sum less one is {low:.2f}, {'at least' if low >= FIT_FROM else 'below'} "
        f"{FIT_FROM}"
    )


def _lacking(comparison: Comparison, human: NDArray[np.float64]) -> Iterator[str]:
    """What keeps the labels from correcting this comparison."""
    asked = np.isfinite(human[0])
    least = LEAST_LABELLED if comparison.stratum == POOLED else MINIMUM_PAIRS
    if asked.sum() < least:
        yield f"people labelled {int(asked.sum())} of {comparison.n} pairs; {least} are the least"
        return
    difference = comparison.candidate - comparison.baseline
    for marked, what in ((difference < 0, "worse"), (difference > 0, "better")):
        p = chance_of_draw(asked, marked, comparison.strata)
        if p < CHOSEN:
            yield (
                f"the labelled pairs are no random sample: those where the judge sees the candidate {what} are "
                f"{int((asked & marked).sum())} of {int(asked.sum())} labelled and {int(marked.sum())} of all "
                f"{comparison.n} (p {p:.1g} < {CHOSEN})"
            )


def _labelled(comparison: Comparison, human: NDArray[np.float64]) -> Iterator[str]:
    asked = np.isfinite(human[0])
    if asked.any():
        judged = (comparison.candidate - comparison.baseline)[asked]
        yield (
            f"corrected by people: on the {int(asked.sum())} pairs they labelled they see a difference of "
            f"{100 * (human[1] - human[0])[asked].mean():+.1f} points, the judge of {100 * judged.mean():+.1f}"
        )


def _shrinking(comparison: Comparison, fitness: Fitness) -> Iterator[str]:
    """What rests on the judge alone, and on which assumption."""
    of_what = (
        "the floor is what it would pass at most of answers that just reach the policy's"
        if comparison.kind == "floor"
        else f"the margin is {fitness.informedness.low:.2f} of the policy's, as its errors blur every difference"
    )
    yield f"on the judge's word alone, if it errs alike in both arms: {describe(fitness)}; {of_what}"
    if comparison.kind == "quality" and comparison.n:
        weights = np.asarray(comparison.weights)
        rates = [_corrected(arm, comparison, weights, fitness) for arm in (comparison.baseline, comparison.candidate)]
        yield f"its errors undone, {rates[0]:.1%} of the baseline's answers pass and {rates[1]:.1%} of the candidate's"


def _corrected(
    arm: NDArray[np.float64], comparison: Comparison, weights: NDArray[np.float64], fitness: Fitness
) -> float:
    """One arm's rate without the judge's errors (Rogan & Gladen)."""
    sizes = np.bincount(comparison.strata, minlength=weights.size)
    sums = np.bincount(comparison.strata, weights=arm, minlength=weights.size)
    return rogan_gladen(float(np.sum(weights * sums / np.maximum(sizes, 1))), fitness)
