"""Are the candidate's servers fuller than they may be? What they did is shown beside it.

None of these has a p-value: they stand outside of the family of tests, and
no look at a run that goes on asks them (docs/policy.md, "Saturation").
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from canary.compare.apart import disjoint, level_line, reason
from canary.compare.observed import ArmServers
from canary.plan import Plan
from canary.policy import SaturationRule
from canary.records import Arm, Signal, Status, Tier
from canary.signals.runbook import with_runbook
from canary.signals.untested import UNTESTED
from canary.signals.wording import MISSING, percent, significant
from canary.stats.vector import Floats

LEAST = 10
"""Fewer samples are no run to speak of."""
CHANCE = 3
"""So many silences more than the other arm's befall any server."""
QUANTILE = 0.95
METHOD = "95th percentile of samples"


def saturation_signals(observed: Mapping[Arm, ArmServers], plan: Plan) -> tuple[Signal, ...]:
    """Levels against their bounds, then what is only shown; nothing where an arm has no server that could be observed.

    A level that the plan requires and that no arm has to itself is missing evidence.
    """
    if plan.stage == "build":
        return ()
    signals = [*_measured(observed, plan)] if len(observed) == len(Arm) else [*_one_sided(observed, plan)]
    signals += _lacking(plan, observed, {signal.name for signal in signals})
    return tuple(with_runbook(signal, plan.policy) for signal in signals)


def _measured(observed: Mapping[Arm, ArmServers], plan: Plan) -> Iterator[Signal]:
    arms = (observed[Arm.BASELINE], observed[Arm.CANDIDATE])
    if plan.sequential or disjoint(*(arm.moments for arm in arms)):
        yield from _apart(arms, plan)
        return
    yield from filter(None, (_level(name, rule, arms) for name, rule in plan.policy.saturation))
    yield from _shown(arms)


def _one_sided(observed: Mapping[Arm, ArmServers], plan: Plan) -> Iterator[Signal]:
    """Levels of one arm, where the other has a server too, of which nothing was written down."""
    if not plan.has_servers:
        return
    for name, rule in plan.policy.saturation:
        for arm, seen in observed.items():
            if n := int(seen.levels(name).size):
                yield _missing(name, rule, n, f"{n} samples of the {arm}'s servers, none of the other arm's")


def _apart(arms: tuple[ArmServers, ArmServers], plan: Plan) -> Iterator[Signal]:
    """Levels of different moments, where either arm said them."""
    for name, rule in plan.policy.saturation:
        n = max(int(arm.levels(name).size) for arm in arms)
        if n:
            yield _missing(name, rule, n, reason(level_line(plan, name)))


SHARED = "one engine served both arms, and its levels are neither's; 'share: false' on the runner brings up one each"
UNSEEN = "neither arm's servers said it at all; 'pip install canary-gate[vllm]' has what asks them and their machines"


def _lacking(plan: Plan, observed: Mapping[Arm, ArmServers], measured: Collection[str]) -> Iterator[Signal]:
    """What is required and was said of no arm; a few samples are of a run that was short."""
    for name, rule in plan.policy.saturation:
        is_open = f"saturation/{name}" in set(plan.required) - set(measured)
        if is_open and not any(arm.levels(name).size for arm in observed.values()):
            yield _missing(name, rule, 0, SHARED if plan.shared_engine else UNSEEN)


def judge_level(baseline: float, candidate: float, rule: SaturationRule) -> tuple[Status, str, tuple[str, ...]]:
    """Status, reason and warnings of one level.

    Only a candidate that fills what the baseline leaves free fails: an
    unchanged one on the same bench never does.
    """
    change = f"{percent(baseline)} -> {percent(candidate)}"
    warning, critical = f"{rule.warning:.0%}", f"{rule.critical:.0%}"
    if candidate < rule.warning:
        return Status.PASS, f"{change}: below {warning}", ()
    if candidate < rule.critical:
        said = f"{change}: from {warning} on little is left, {critical} would be too much"
        return Status.PASS, said, (said,)
    if baseline >= rule.critical:
        said = f"{change}: the bench itself is saturated, both arms at or above {critical}"
        return Status.PASS, said, (said,)
    if baseline >= rule.warning:
        said = f"{change}: at or above {critical}, but the baseline was at or above {warning} already"
        return Status.INCONCLUSIVE, said, ()
    return Status.FAIL, f"{change}: at or above {critical}, and the baseline below {warning}", ()


def _level(name: str, rule: SaturationRule, arms: tuple[ArmServers, ArmServers]) -> Signal | None:
    """None where neither arm said it often enough, or both stopped just short of that."""
    samples = [arm.levels(name) for arm in arms]
    counts = [int(each.size) for each in samples]
    few, many = min(counts), max(counts)
    if many < LEAST or many / 2 <= few < LEAST:
        return None
    if few < many / 2:
        return _missing(
            name, rule, few, f"{counts[0]} samples of the baseline's servers, {counts[1]} of the candidate's"
        )
    baseline, candidate = (float(np.quantile(each, QUANTILE)) for each in samples)
    judged = judge_level(baseline, candidate, rule)
    silences = [arm.silences(name) for arm in arms]
    if judged[0] is Status.PASS and _may_be_full(baseline, samples[1], silences, rule):
        told = f"{counts[1]} samples of the candidate's servers, which were silent {silences[1]} times between them"
        return _missing(name, rule, few, f"{told}, the baseline's {silences[0]}: who is full may not answer")
    return _level_signal(name, rule, few, judged, (baseline, candidate))


def _may_be_full(baseline: float, heard: Floats, silences: Sequence[int], rule: SaturationRule) -> bool:
    """Whether the level would not pass, had the candidate been full whenever it alone was silent."""
    alone = silences[1] - silences[0]
    if alone <= CHANCE:
        return False
    full = float(np.quantile(np.append(heard, np.ones(alone)), QUANTILE))
    return judge_level(baseline, full, rule)[0] is not Status.PASS


def _shown(arms: tuple[ArmServers, ArmServers]) -> Iterator[Signal]:
    """Each with both values; they never decide."""
    waiting = [arm.levels("waiting") for arm in arms]
    n = min(int(each.size) for each in waiting)
    if n < LEAST:
        return
    yield _told("saturation/queue", [float(np.quantile(each, QUANTILE)) for each in waiting], n, "requests waiting")
    preempted = [_per_thousand(arm.rise("preemptions"), arm.requests) for arm in arms]
    yield from _told_if("saturation/preemptions", preempted, n, "preemptions per 1,000 requests")
    for name, counter in (("prefill", "prompt_tokens"), ("decode", "generation_tokens")):
        rates = [arm.rate(counter) for arm in arms]
        yield from _told_if(f"throughput/{name}", rates, n, "tokens/s of one replica")


def _per_thousand(count: float | None, requests: int) -> float | None:
    return None if count is None or not requests else 1000 * count / requests


def _told_if(name: str, values: Sequence[float | None], n: int, what: str) -> Iterator[Signal]:
    known = [value for value in values if value is not None]
    if len(known) == len(Arm):
        yield _told(name, known, n, what)


def _told(name: str, values: Sequence[float], n: int, what: str) -> Signal:
    baseline, candidate = values
    kind, _, metric = name.partition("/")
    is_ratio = kind == "throughput"
    return Signal(
        name=name,
        kind=kind,
        metric=metric,
        tier=Tier.ADVISORY,
        status=Status.INCONCLUSIVE,
        baseline=baseline,
        candidate=candidate,
        effect="ratio" if is_ratio else "difference",
        estimate=(candidate / baseline if baseline else None) if is_ratio else candidate - baseline,
        n=n,
        method=METHOD if metric == "queue" else "counter",
        reason=f"{significant(baseline)} -> {significant(candidate)} {what}: shown only",
        warnings=(),
        **UNTESTED,
    )


def _missing(name: str, rule: SaturationRule, n: int, why: str) -> Signal:
    return _level_signal(name, rule, n, (Status.INCONCLUSIVE, f"{MISSING}: {why}", ()), None)


def _level_signal(
    name: str,
    rule: SaturationRule,
    n: int,
    judged: tuple[Status, str, tuple[str, ...]],
    levels: tuple[float, float] | None,
) -> Signal:
    status, reason, warnings = judged
    baseline, candidate = levels or (None, None)
    return Signal(
        name=f"saturation/{name}",
        kind="saturation",
        metric=name,
        tier=rule.tier,
        status=status,
        baseline=baseline,
        candidate=candidate,
        effect="difference",
        estimate=levels[1] - levels[0] if levels else None,
        n=n,
        method=METHOD,
        reason=reason,
        warnings=warnings,
        **UNTESTED,
    )
