"""What a plan can show, said before a token is spent."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from canary.assertions import load_plugins
from canary.assertions.binding import BUILD, bind
from canary.calibration import Calibration
from canary.compare.apart import WHY, undecidable
from canary.compare.errors import ALWAYS
from canary.compare.table import slug
from canary.engines.vllm.arguments import check_arguments
from canary.judging import is_blocking
from canary.looks.stop import has_looks
from canary.looks.watch import Watch
from canary.order import checkpoints
from canary.pipeline import RayRunner
from canary.plan import Plan
from canary.records import MINIMUM_PAIRS, PASS, POOLED, Decision, Tier
from canary.release import LiveRelease, VllmRelease
from canary.run.foresight import Foresight, Outlook
from canary.run.load import Loaded, Overrides, load
from canary.run.offer import overload
from canary.run.spending import spending
from canary.signals.judged import trust
from canary.signals.levels import final_levels, look_levels
from canary.stats.power import (
    POWER,
    OperatingCharacteristics,
    joint_promote_probability,
    smallest_passing_n,
    smallest_reaching_n,
)
from canary.stats.stopping import median_stop

ASSUMED_DISCORDANCE = 0.05
"""Share of pairs that differ between two runs of one release, when unmeasured."""
LIKELY = 0.5
"""A plan that would promote an unchanged candidate less often than this is refused."""


def foresee(
    path: Path, *, stage: str, calibration: Path | None = None, rate: float | None = None, early_stop: bool = True
) -> Foresight:
    """Validate a pipeline and say what it can detect and what it will cost.

    `calibration` is a file of noise that stands in for the pipeline's own;
    without either the discordance is assumed. `rate` is what production serves,
    in requests a second; `early_stop` as for the run. Raises UsageError with
    every mistake found.
    """
    loaded = load(path, stage=stage, calibration=calibration, overrides=Overrides(early_stop=early_stop))
    away = isinstance(loaded.pipeline.runner, RayRunner)
    sides = loaded.pipeline.releases.values()
    unchecked = [check_arguments(side, away=away) for side in sides if isinstance(side, VllmRelease)]
    noise = loaded.plan.calibration
    outlooks = _outlooks(loaded.plan)
    return Foresight(
        plan=loaded.plan,
        outlooks=outlooks,
        promote=_promotion(loaded.plan, outlooks),
        source=_source(noise),
        lacking=lacking(loaded),
        spending=(*_stopping(loaded.plan, outlooks[1:]), *spending(loaded, rate)),
        warnings=tuple(filter(None, unchecked)),
    )


def lacking(loaded: Loaded) -> tuple[str, ...]:
    """Why this plan will not reach its own margins and floors; empty if it can.

    A candidate alone has floors only.
    """
    plan, noise = loaded.plan, loaded.plan.calibration
    outlooks = _outlooks(plan)
    floors = tuple(_floors_lacking(loaded))
    if plan.stage == BUILD:
        return floors
    return (
        *(_lacking(plan, outlooks) or _underpowered(outlooks, _promotion(plan, outlooks))),
        *floors,
        *_unknown_metrics(loaded),
        *overload(loaded, None if noise is None else noise.usage),
    )


def _promotion(plan: Plan, outlooks: Sequence[Outlook]) -> OperatingCharacteristics:
    """How often an unchanged candidate is promoted, by the sizes and discordances of its strata."""
    rules, alpha, strata = plan.policy, final_levels(plan), outlooks[1:]
    return joint_promote_probability(
        [outlook.cases for outlook in strata],
        [outlook.discordance for outlook in strata],
        pooled_margin=rules.quality.max_drop,
        stratum_margins=[outlook.margin for outlook in strata],
        alpha_promote=alpha.promote,
        alpha_rollback=alpha.rollback,
        weights=[stratum.weight for stratum in plan.strata],
    )


def discordance_of(calibration: Calibration | None) -> dict[str, float]:
    """The measured discordance of `pass`, else of the noisiest metric, by stratum."""
    noise = () if calibration is None else calibration.noise
    of_pass = [entry for entry in noise if entry.metric == PASS]
    found: dict[str, float] = {}
    for entry in of_pass or noise:
        found[entry.stratum] = max(entry.discordance, found.get(entry.stratum, 0.0))
    return found


def _source(calibration: Calibration | None) -> str:
    if calibration is None:
        return f"assumed: {ASSUMED_DISCORDANCE:.0%}, no calibration given (canary calibrate noise measures it)"
    cases = max((entry.n for entry in calibration.noise), default=0)
    unstable = "; THE BENCH IS NOT STABLE, every run holds" if calibration.verdict is Decision.ROLLBACK else ""
    return f"measured: {cases} cases, the baseline against itself ({calibration.verdict}{unstable})"


def _outlooks(plan: Plan) -> tuple[Outlook, ...]:
    """What can be shown: of the pool first, then of each stratum."""
    measured = discordance_of(plan.calibration)
    cases = {POOLED: sum(stratum.cases for stratum in plan.strata)}
    cases |= {stratum.name: stratum.cases for stratum in plan.strata}
    each = POWER ** (1 / len(cases))
    return tuple(
        _outlook(plan, name, n, measured.get(name, measured.get(POOLED, ASSUMED_DISCORDANCE)), each)
        for name, n in cases.items()
    )


def _outlook(plan: Plan, name: str, n: int, psi: float, power: float) -> Outlook:
    alpha = final_levels(plan)
    margin = plan.policy.quality.margin(None if name == POOLED else name)
    return Outlook(
        stratum=name,
        cases=n,
        margin=margin,
        discordance=psi,
        alpha=alpha,
        power=power,
        least=max(smallest_passing_n(margin, alpha.promote), MINIMUM_PAIRS),
    )


def _lacking(plan: Plan, outlooks: tuple[Outlook, ...]) -> list[str]:
    """Strata and error rates that cannot pass even if nothing ever differs."""
    optional = plan.policy.quality.stratum.optional
    lacking = [
        f"{_place(outlook)} has {outlook.cases} cases and cannot show a margin of {100 * outlook.margin:g} points "
        f"with fewer than {outlook.least}: add {outlook.least - outlook.cases}"
        for outlook in outlooks
        if outlook.cases < outlook.least and outlook.stratum not in optional
    ]
    strata = [outlook.stratum for outlook in outlooks if outlook.stratum not in optional]
    rates = _rates_lacking(plan, outlooks[0].cases)
    return _unknown_strata(plan) + lacking + rates + _judges_lacking(plan, strata) + _times_lacking(plan)


def _times_lacking(plan: Plan) -> list[str]:
    """What the policy lets decide and a run of one arm after the other leaves open."""
    found = dict(undecidable(plan)) if plan.sequential else {}
    merged: dict[str, dict[str, Any]] = {}
    for line in found.values():
        for key, rules in yaml.safe_load(line).items():
            merged.setdefault(key, {}).update(rules)
    block = textwrap.indent(
        yaml.safe_dump(merged, default_flow_style=None, sort_keys=False, width=100).rstrip(), "    "
    )
    told = f"{', '.join(found)}: {WHY}; to promote without, let the policy only show them:\n{block}"
    return [told] if found else []


def _judges_lacking(plan: Plan, strata: Sequence[str]) -> list[str]:
    """Judges that the policy lets decide and that may not: the run would hold for want of them."""
    return [
        f"quality/{slug(stratum)}/{metric}: {problem}"
        for metric, judge in plan.judges.items()
        if is_blocking(metric, plan.policy)
        for stratum in strata
        if (problem := trust(judge, stratum, plan)[0])
    ]


def _unknown_strata(plan: Plan) -> list[str]:
    """Critical strata that no case belongs to: the run would hold for want of them."""
    names = [stratum.name for stratum in plan.strata]
    return [
        f"the policy calls stratum {name!r} critical, but no case belongs to it (strata: {', '.join(names)})"
        for name in plan.policy.quality.critical.strata
        if name not in names
    ]


def _unknown_metrics(loaded: Loaded) -> list[str]:
    """Metrics that the policy lets decide and no assertion gives: the run would hold for want of them.

    Recorded answers may bring scores of their own.
    """
    if not all(isinstance(r, LiveRelease) for r in loaded.pipeline.releases.values()):
        return []
    plugins = load_plugins(loaded.suite.plugins)
    bound = bind(loaded.golden.prompts, loaded.suite.assertions, plugins, loaded.plan.stage)
    known = {PASS: None} | {metric: None for each in bound.values() for metric in each.metrics}
    return [
        f"the policy lets metric {name!r} decide, but no assertion gives it (metrics: {', '.join(known)})"
        for name in loaded.plan.policy.quality.metrics
        if name not in known and is_blocking(name, loaded.plan.policy)
    ]


def _rates_lacking(plan: Plan, cases: int) -> list[str]:
    """Rates of errors, and of slow requests where they are measured, that cannot pass."""
    live = not (plan.baseline.is_recorded and plan.candidate.is_recorded)
    slow = {f"latency/{kind}/slow": getattr(plan.policy.latency, kind).slow for kind in ("ttft", "itl") if live}
    named = {f"guardrail/{name}": rule for name, rule in plan.policy.guardrail.classes.items()}
    rules = {f"errors/{kind}": getattr(plan.policy.errors, kind) for kind in ALWAYS} | named | slow
    least = {
        name: smallest_passing_n(rule.max_increase, final_levels(plan).promote)
        for name, rule in rules.items()
        if rule is not None and rule.tier is Tier.BLOCKING
    }
    return [
        f"{name}: {cases} cases cannot show a rise below {100 * rules[name].max_increase:g} points with fewer than "
        f"{n}: add {n - cases}"
        for name, n in least.items()
        if cases < n
    ]


def _floors_lacking(loaded: Loaded) -> Iterator[str]:
    """Floors that not even a candidate without a failure would be shown to reach.

    How many cases that takes is known of `pass`, asked once of cases that are each a cluster of its own.
    """
    plan, cases = loaded.plan, len(loaded.golden.prompts)
    apart = plan.suite.repeat == 1 and len({prompt.cluster for prompt in loaded.golden.prompts}) == cases
    for metric, rule in plan.policy.quality.metrics.items():
        if rule.min_score is None or not is_blocking(metric, plan.policy):
            continue
        exact = apart and metric == PASS
        least = smallest_reaching_n(rule.min_score, final_levels(plan).promote) if exact else 1
        if least is None:
            yield f"floor/{POOLED}/{metric}: no number of cases shows that all answers pass; set 'min_score' below 1"
        elif cases < (least := max(least, MINIMUM_PAIRS)):
            yield (
                f"floor/{POOLED}/{metric}: {cases} cases cannot show a floor of {rule.min_score:g} with fewer than "
                f"{least}: add {least - cases}"
            )


def _underpowered(outlooks: tuple[Outlook, ...], promote: OperatingCharacteristics) -> list[str]:
    """What to add where even an unchanged candidate would more likely be held."""
    if promote.promote >= LIKELY:
        return []
    chance = f"an unchanged candidate would be promoted with probability {promote.promote:.2f}, less than {LIKELY}"
    return [chance] + [
        f"{_place(outlook)} has {outlook.cases} cases and wants {outlook.wanted} to pass an unchanged candidate at "
        f"{100 * outlook.margin:g} points: add {outlook.wanted - outlook.cases}, or allow a larger drop"
        for outlook in outlooks
        if outlook.wanted is not None and outlook.cases < outlook.wanted
    ]


def _stopping(plan: Plan, strata: Sequence[Outlook]) -> Iterator[str]:
    """Cases until half of the runs end whose smallest stratum loses its margin, twice or four times it."""
    signals = len(Watch(plan).tracks)
    if not has_looks(plan) or not signals:
        return
    smallest = min(strata, key=lambda outlook: outlook.cases)
    total, alpha = sum(outlook.cases for outlook in strata), look_levels(plan).rollback
    drops = {min(1.0, times * smallest.margin) for times in (1, 2, 4)}
    ends = {}
    for drop in sorted(drops):
        stop = median_stop(smallest.cases, smallest.discordance, drop, alpha=alpha / signals)
        ends[drop] = next((end for end in checkpoints(total) if end >= stop / smallest.cases * total), total)
    yield f"early stopping: {_ending(ends, smallest.stratum, total)}"


def _ending(ends: Mapping[float, int], stratum: str, total: int) -> str:
    """By which case half of the runs end, by what is lost; what takes all cases ends none early."""
    early = [(f"{100 * drop:g} points", end) for drop, end in ends.items() if end < total]
    if not early:
        return f"not likely: to be certain of {100 * max(ends):g} points lost in {stratum!r} takes all {total} cases"
    (drop, end), *more = early
    rest = "".join(f", of {drop} by case {end}" for drop, end in more)
    return f"a loss of {drop} in {stratum!r} ends half of such runs by case {end} of {total}{rest}"


def _place(outlook: Outlook) -> str:
    return "the golden set" if outlook.stratum == POOLED else f"stratum {outlook.stratum!r}"
