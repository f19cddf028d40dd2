"""Thresholds that are measured: from how close the baseline's own answers come to their references."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from canary.assertions.similar import LEARNED
from canary.calibration import Similarity
from canary.errors import ConfigError
from canary.plan import Plan
from canary.records import Arm, Prompt, Response, Score
from canary.run.resolve import calibration_command
from canary.stats.drift import similarity_threshold


def metrics_of(plan: Plan, prompts: Iterable[Prompt], *, learned: bool = False) -> tuple[str, ...]:
    """The metrics of the `similar` assertions; with `learned`, of those whose threshold is to be measured."""
    specs = [*plan.suite.assertions, *(spec for prompt in prompts for spec in prompt.asserts)]
    return tuple(sorted({_metric(spec) for spec in specs if _is_similar(spec, learned=learned)}))


def _is_similar(spec: Mapping[str, Any], *, learned: bool) -> bool:
    return spec.get("type") == "similar" and (not learned or spec.get("threshold") == LEARNED)


def _metric(spec: Mapping[str, Any]) -> str:
    return str(spec.get("metric", "similar"))


def similarities(
    metrics: Iterable[str], scores: Sequence[Score], responses: Sequence[Response], alpha: float
) -> Iterator[Similarity]:
    """A threshold for each metric that has enough of the baseline's first answers; errors are no answers."""
    failed = {response.id for response in responses if response.error is not None and response.arm is Arm.BASELINE}
    for metric in metrics:
        mine = [s for s in scores if s.metric == metric and s.arm is Arm.BASELINE and s.repeat == 0]
        known = [score.value for score in mine if score.value is not None and score.id not in failed]
        if len(known) >= 1 / alpha - 1:
            threshold = min(1.0, max(0.0, similarity_threshold(known, alpha=alpha)))
            yield Similarity(metric=metric, n=len(known), alpha=alpha, threshold=threshold)


def learned_thresholds(plan: Plan, prompts: Iterable[Prompt]) -> dict[str, float]:
    """What `threshold: learned` stands for, by metric: the figures of the plan's calibration.

    0 while it is being measured, and nothing in stage `build`, which compares
    no meanings. Raises ConfigError where one is asked for and was not measured,
    or tells nothing apart.
    """
    wanted = () if plan.stage == "build" else metrics_of(plan, prompts, learned=True)
    if plan.purpose == "calibration":
        return dict.fromkeys(wanted, 0.0)
    known = {} if plan.calibration is None else {each.metric: each.threshold for each in plan.calibration.similar}
    problems = [_problem(metric, plan, known.get(metric)) for metric in wanted if not known.get(metric)]
    if problems:
        raise ConfigError(problems)
    return {metric: known[metric] for metric in wanted}


def measured_thresholds(
    plan: Plan, prompts: Iterable[Prompt], scores: Sequence[Score], responses: Sequence[Response]
) -> dict[str, float]:
    """What the baseline's own scores make of `threshold: learned`, where there are enough of them."""
    wanted = metrics_of(plan, prompts, learned=True)
    found = similarities(wanted, scores, responses, plan.policy.alpha.rollback)
    return {similarity.metric: similarity.threshold for similarity in found}


def _problem(metric: str, plan: Plan, found: float | None) -> str:
    begun = f"'threshold: learned' of metric {metric!r}"
    remedy = f"{calibration_command(plan)} measures one{', for --calibration' if plan.stage == 'compare' else ''}"
    if found is not None:
        return f"{begun}: the baseline's own answers were unlike their references, which tells nothing apart (got 0)"
    if plan.calibration is not None:
        least = int(1 / plan.policy.alpha.rollback + 0.5) - 1
        return f"{begun} needs a calibration with at least {least} answers to it; {remedy}"
    stale = next((warning for warning in plan.warnings if " is not used: " in warning), None)
    return f"{begun} needs a calibration (got none); {remedy}" if stale is None else f"{begun} needs one: {stale}"
