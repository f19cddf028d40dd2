"""Numbers as people read them; SI units come in, nothing is computed."""

from __future__ import annotations

from collections.abc import Mapping

from canary.plan import Plan
from canary.policy import Policy
from canary.records import Evidence, Scale, Signal, Verdict
from canary.signals.wording import COUNTED, VALUE, Unit, dollars, seconds
from canary.timing import RatioRule, rule_of

ABSENT = "-"
SAME = "~"
"""No change can be told from none."""

_SHARES = frozenset({"errors", "guardrail", "cache", "goodput", "saturation", "load"})
_COUNTS = frozenset({"saturation/queue", "saturation/preemptions", "throughput/prefill", "throughput/decode"})
_NO_SHARE = {Scale.BOUNDED}


def units_of(verdict: Verdict, evidence: Evidence, plan: Plan) -> dict[str, Unit]:
    """The unit of every signal by its name.

    A metric's scale is its scores' where the policy names none. Ordered grades
    are compared by the share of prompts answered better.
    """
    scales: dict[str, set[Scale]] = {}
    for metric, scale in {(score.metric, score.scale) for score in evidence.scores}:
        scales.setdefault(metric, set()).add(scale)
    scales |= {metric: {rule.scale} for metric, rule in plan.policy.quality.metrics.items() if rule.scale}
    return {signal.name: _unit(signal, scales) for signal in verdict.signals}


def value(number: float | None, unit: Unit) -> str:
    """One arm's number: `98.3%`, `412 ms`, `$0.00123`, `0.873`."""
    return ABSENT if number is None else VALUE[unit](number)


def change(number: float, signal: Signal, unit: Unit) -> str:
    """A difference or ratio with its unit: `-10.0 pp`, `×1.15`."""
    return f"{_bare(number, signal, unit)}{_suffix(signal, unit)}"


def effect(signal: Signal, unit: Unit) -> str:
    """The change, `~` where the interval holds no change, `-` where unknown."""
    if signal.estimate is None:
        return ABSENT
    if signal.low is not None and signal.high is not None and signal.low <= nothing(signal) <= signal.high:
        return SAME
    return change(signal.estimate, signal, unit)


def interval(signal: Signal, unit: Unit) -> str:
    """Both ends of the interval in the effect's unit; `-` for an open end."""
    if signal.low is None and signal.high is None:
        return ABSENT
    ends = [ABSENT if end is None else _bare(end, signal, unit) for end in (signal.low, signal.high)]
    return f"[{', '.join(ends)}]{_suffix(signal, unit)}"


def margin(signal: Signal, unit: Unit, policy: Policy) -> str:
    """The margin as a bound on the change: `-10.0 pp`, `+3.0 pp`, `×1.15`, `+20 ms` where a floor sets it."""
    if signal.margin is None:
        return ABSENT
    if floor := floor_of(signal, policy):
        return f"+{seconds(floor)}"
    return change(signal.margin if signal.effect == "ratio" else direction(signal) * signal.margin, signal, unit)


def floor_of(signal: Signal, policy: Policy) -> float:
    """Seconds by which a latency may rise, where that and no ratio is its margin; else 0."""
    if signal.kind != "latency" or signal.effect != "ratio" or signal.margin is None:
        return 0.0
    _, family, metric = rule_of(signal.name).split("/")
    rule: RatioRule | None = getattr(policy.latency, family).rules().get(metric)
    return rule.floor_in(signal.margin) if rule else 0.0


def nothing(signal: Signal) -> float:
    """The effect of a candidate that changes nothing."""
    return 1.0 if signal.effect == "ratio" else 0.0


def direction(signal: Signal) -> int:
    """-1 where a fall is harm (quality, floors, cache hits, goodput, throughput), else 1."""
    return -1 if signal.kind in {"quality", "floor", "cache", "goodput", "throughput"} else 1


def _unit(signal: Signal, scales: Mapping[str, set[Scale]]) -> Unit:
    if signal.kind == "latency":
        return Unit.SHARE if signal.metric == "slow" else Unit.SECONDS
    if signal.kind == "cost":
        return Unit.DOLLARS
    if signal.name in _COUNTS:
        return Unit.SCORE
    counted = {Scale.PASS_FAIL, Scale.ORDINAL} if signal.kind == "quality" else {Scale.PASS_FAIL}
    if signal.kind in _SHARES or scales.get(signal.metric, _NO_SHARE) <= counted:
        return Unit.SHARE
    return Unit.SCORE


def _bare(number: float, signal: Signal, unit: Unit) -> str:
    if signal.effect == "ratio":
        return f"×{number:.2f}" if number < 100 else f"×{number:.3g}"
    match unit:
        case Unit.SHARE | Unit.WON:
            points = round(100 * number, 1)
            return f"{points:+.1f}" if points else "0.0"
        case Unit.SECONDS:
            return f"{'+' if number > 0 else ''}{seconds(number)}"
        case Unit.DOLLARS:
            return f"{'-' if number < 0 else '+'}{dollars(abs(number))}"
        case Unit.SCORE:
            return f"{number:+.3f}" if round(number, 3) else "0.000"


def _suffix(signal: Signal, unit: Unit) -> str:
    return " pp" if signal.effect == "difference" and unit in COUNTED else ""
