"""Two streams of routed traffic: readings for the end of the window, e-processes for the looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from canary.contrast import Contrast, Stream
from canary.plan import Plan
from canary.policy import CostRule, ErrorRule, GoodputRule, GuardrailRule, HitRateRule
from canary.records import POOLED, Comparison, Scale, Signal, Status, Tier
from canary.signals.events import EventCounts, compare_events, count_events, harm_of, safety_of
from canary.signals.latency import rules_of
from canary.signals.levels import final_levels, look_levels
from canary.signals.quality import floor_signals, tier_of
from canary.signals.reading import Proof, Reading, as_rate_of_harm, read
from canary.signals.routed_latency import SLOW_FACTOR, ratio_readings
from canary.signals.routed_means import compare_cost, compare_quality
from canary.signals.status import settle
from canary.signals.wording import Unit
from canary.stats.results import Finding
from canary.stats.sequential import e_bonferroni, e_holm
from canary.timing import SlowRule

FROZEN = 200
"""Served baseline requests that fix what is slow, where no objective is given, before looks may count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A reading with what may be looked at of it any number of times."""

    reading: Reading
    events: EventCounts | None = None
    """None where it has one look only, at the end."""
    may_be_safe: bool = True


def measure_traffic(contrasts: Sequence[Contrast], floors: Sequence[Comparison], plan: Plan) -> tuple[Signal, ...]:
    """Every signal with its status, in the order of the contrasts, floors last."""
    watched = [found for contrast in contrasts for found in READ[contrast.kind](contrast, plan)]
    watched += [Watched(reading=_closed(reading, plan)) for floor in floors for reading in floor_signals(floor, plan)]
    readings = [one.reading for one in watched]
    return settle(readings, plan.policy, final_levels(plan), dict(_proofs(watched, plan)))


def _closed(reading: Reading, plan: Plan) -> Reading:
    """A floor has one look: at the end."""
    if plan.traffic is None or not plan.traffic.open or reading.finding is None:
        return reading
    return replace(reading, missing=(*reading.missing, "it has one look, when the window is closed"))


def _proofs(watched: Sequence[Watched], plan: Plan) -> Iterator[tuple[str, Proof]]:
    """What the e-processes are certain of: harm named by closed testing, safety each on its own.

    Every blocking stream of events is in the family, whether anything
    happened in it or not: a family that grows with the evidence would be none.
    """
    if not plan.early_stopping:
        return
    looked = [one for one in watched if one.events is not None and one.reading.tier is Tier.BLOCKING]
    looked = [one for one in looked if one.events is not None and one.events.may_be_looked_at]
    processes = [harm_of(one.events) for one in looked if one.events is not None]
    adjusted = np.maximum(
        e_bonferroni([process.peak for process in processes]), e_holm([process.log_e for process in processes])
    )
    alpha = look_levels(plan)
    for one, log_e in zip(looked, adjusted.tolist(), strict=True):
        proof = _proof(one, plan)
        if proof is not None:
            yield one.reading.name, proof
        elif log_e >= math.log(1 / alpha.rollback) and not _is_inside(one.reading, plan):
            yield one.reading.name, Proof(status=Status.FAIL, log_e=log_e, alpha=alpha.rollback)


def _proof(one: Watched, plan: Plan) -> Proof | None:
    if one.events is None or not one.may_be_safe:
        return None
    return safety_of(one.events, one.reading.margin or 0.0, plan)


def _is_inside(reading: Reading, plan: Plan) -> bool:
    """Whether the test at the end excludes the margin: a loss within it is tolerated."""
    return reading.finding is not None and reading.finding.noninferior.p < final_levels(plan).promote


def _errors(contrast: Contrast, plan: Plan) -> Iterator[Watched]:
    rule: ErrorRule = getattr(plan.policy.traffic.errors, contrast.metric)
    events = count_events(contrast, contrast.baseline.values > 0, contrast.candidate.values > 0)
    yield _share(contrast, plan, events, events, contrast.name, rule)


def _guardrail(contrast: Contrast, plan: Plan) -> Iterator[Watched]:
    """As errors, with one look at the end: which classes there are is known by what they reject."""
    rule = plan.policy.guardrail.rule(contrast.metric)
    events = count_events(contrast, contrast.baseline.values > 0, contrast.candidate.values > 0)
    yield _share(contrast, plan, events, None, contrast.name, rule)


def _share(
    contrast: Contrast,
    plan: Plan,
    events: EventCounts,
    looked: EventCounts | None,
    name: str,
    rule: ErrorRule | SlowRule | GuardrailRule,
) -> Watched:
    """One rate of bad keys; `looked` are the events that looks may count."""
    reading = read(
        contrast,
        lambda: compare_events(events, rule.max_increase, plan, final_levels(plan).promote),
        name=name,
        metric=name.rsplit("/", 1)[-1],
        tier=rule.tier,
        effect="difference",
        unit=Unit.SHARE,
        worse=1,
        margin=rule.max_increase,
    )
    return Watched(reading=reading, events=looked)


def _latency(contrast: Contrast, plan: Plan) -> Iterator[Watched]:
    """As for pairs."""
    rules = rules_of(contrast.metric, plan)
    slow = {name: rules.pop(name) for name in list(rules) if name.endswith("/slow")}
    yield from (_slow(contrast, plan, rule, name) for name, rule in slow.items() if rule is not None)
    yield from (Watched(reading=reading) for reading in ratio_readings(contrast, plan, rules))


def _slow(contrast: Contrast, plan: Plan, rule: SlowRule, name: str) -> Watched:
    served = contrast.baseline.values[np.isfinite(contrast.baseline.values)]
    if rule.threshold_s is None and served.size == 0:
        why = "no baseline request was served, so there is no median to call slow by"
        contrast = replace(contrast, missing=(*contrast.missing, why))
    threshold = rule.threshold_s or (SLOW_FACTOR * float(np.median(served)) if served.size else math.inf)
    return _share(contrast, plan, _slower(contrast, threshold), _looked_slow(contrast, rule), name, rule)


def _slower(contrast: Contrast, threshold: float, since: float = -math.inf) -> EventCounts:
    return count_events(
        contrast, contrast.baseline.values > threshold, contrast.candidate.values > threshold, since=since
    )


def _looked_slow(contrast: Contrast, rule: SlowRule) -> EventCounts | None:
    """Slow by an objective, or by a median that the first requests fixed once and for all."""
    if rule.threshold_s is not None:
        return _slower(contrast, rule.threshold_s)
    served = np.flatnonzero(np.isfinite(contrast.baseline.values))[:FROZEN]
    if served.size < FROZEN:
        return _slower(contrast, math.inf, since=math.inf)
    threshold = SLOW_FACTOR * float(np.median(contrast.baseline.values[served]))
    return _slower(contrast, threshold, since=float(contrast.baseline.times[served[-1]]))


def _cost(contrast: Contrast, plan: Plan) -> Iterator[Watched]:
    rule: CostRule = getattr(plan.policy.cost, contrast.metric)
    yield Watched(
        reading=read(
            contrast,
            lambda: compare_cost(contrast, rule.max_ratio, plan),
            tier=rule.tier,
            effect="ratio",
            unit=Unit.DOLLARS,
            worse=1,
            margin=rule.max_ratio,
        )
    )


def _quality(contrast: Contrast, plan: Plan) -> Iterator[Watched]:
    """Failed checks are bad events; what is graded, or asked several times a key, is a mean."""
    rule, pooled = plan.policy.quality, contrast.stratum == POOLED
    margin = rule.margin(None if pooled else contrast.stratum)
    counted = contrast.scale is Scale.PASS_FAIL
    failed = count_events(contrast, *(stream.values < 1 for stream in (contrast.baseline, contrast.candidate)))
    single = not _is_sticky(contrast.baseline) and not _is_sticky(contrast.candidate)
    reading = read(
        contrast,
        lambda: _passes(contrast, failed, margin, plan) if counted else compare_quality(contrast, margin, plan),
        tier=tier_of(contrast.stratum, contrast.metric, contrast.n, plan, recorded=True),
        effect="difference",
        unit=Unit.SHARE if counted else Unit.SCORE,
        worse=-1,
        margin=margin,
        sign_off=None if pooled else rule.max_drop,
    )
    yield Watched(reading=reading, events=failed if counted else None, may_be_safe=single)


def _passes(contrast: Contrast, failed: EventCounts, margin: float, plan: Plan) -> Finding:
    """Keys that failed, or a mean where a key was asked several times; ValueError for grades called pass/fail."""
    arms = contrast.baseline, contrast.candidate
    if not all(np.isin(stream.values, (0, 1)).all() for stream in arms):
        raise ValueError("every score must be 0 or 1, as the policy declares it pass/fail")
    if any(map(_is_sticky, arms)):
        return compare_quality(contrast, margin, plan)
    return as_rate_of_harm(compare_events(failed, margin, plan, final_levels(plan).promote))


def _served(contrast: Contrast, plan: Plan) -> Iterator[Watched]:
    """Prefix cache and goodput as shares; a fall is harm."""
    rule: HitRateRule | GoodputRule | None = plan.policy.cache.hit_rate
    if contrast.kind == "goodput":
        rule = plan.policy.goodput
    if rule is None:
        return
    margin = rule.max_drop
    yield Watched(
        reading=read(
            contrast,
            lambda: compare_quality(contrast, margin, plan),
            tier=rule.tier,
            effect="difference",
            unit=Unit.SHARE,
            worse=-1,
            margin=margin,
        )
    )


def _is_sticky(stream: Stream) -> bool:
    return stream.n < stream.values.size


READ: Mapping[str, Callable[[Contrast, Plan], Iterator[Watched]]] = {
    "errors": _errors,
    "guardrail": _guardrail,
    "latency": _latency,
    "cost": _cost,
    "quality": _quality,
    "cache": _served,
    "goodput": _served,
}
"""Kind of contrast to the signals read from it."""
