"""Were the arms asked at different times? Then what depends on the moment tells nothing of the two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from canary.compare.table import Table
from canary.plan import Plan
from canary.records import MINIMUM_PAIRS, Arm, Tier

WHY = "the arms were asked one after the other, and times of different moments are not compared"
RECORDED = "the arms were recorded at different times: what slowed one of them then is no difference of the two"
FAMILY = {"tpot": "itl"}
"""The policy's name of a latency, where it is another."""


def asked_apart(table: Table, plan: Plan) -> bool:
    """Whether the plan says so, or the clock does: all of one arm was sent before any of the other.

    Recorded outputs have whatever clock they were recorded by; theirs only warns.
    """
    return plan.sequential or (not _is_recorded(plan) and _is_disjoint(table))


def recorded_apart(table: Table, plan: Plan) -> bool:
    """Whether the clock says so of recorded outputs, which is for their owner to judge."""
    return not plan.sequential and _is_recorded(plan) and _is_disjoint(table)


def _is_recorded(plan: Plan) -> bool:
    return plan.baseline.is_recorded or plan.candidate.is_recorded


def _is_disjoint(table: Table) -> bool:
    return disjoint(*([r.started_at for r in table.answers(arm) if r and r.started_at is not None] for arm in Arm))


def disjoint(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two arms' moments do not overlap at all; of a few nothing is said."""
    if min(len(one), len(other)) < MINIMUM_PAIRS:
        return False
    return max(one) < min(other) or max(other) < min(one)


def reason(line: str | None) -> str:
    """Why evidence is missing, and the line of the policy with which it would only be shown."""
    return f"{WHY}{shown_only(line)}"


def shown_only(line: str | None) -> str:
    """The end of a sentence about what is missing: the line of the policy that would let it decide nothing."""
    return f"; to promote without, let the policy only show it: '{line}'" if line else ""


def latency_line(plan: Plan, metric: str) -> str | None:
    """The line that lets one latency decide nothing; None where it does not now."""
    family = FAMILY.get(metric, metric)
    rules = getattr(plan.policy.latency, family, None)
    named = {} if rules is None else rules.rules()
    blocking = [name for name, rule in named.items() if rule is not None and rule.tier is Tier.BLOCKING]
    shown = ", ".join(f"{name}: {{tier: advisory}}" for name in blocking)
    return f"latency: {{{family}: {{{shown}}}}}" if blocking else None


def goodput_line(plan: Plan) -> str | None:
    """The same of goodput."""
    rule = plan.policy.goodput
    if rule is None or rule.tier is not Tier.BLOCKING:
        return None
    given = "".join(f"{name}: {seconds:g}, " for name, seconds in rule.objectives().items())
    return f"goodput: {{{given}tier: advisory}}"


def cost_line(plan: Plan) -> str | None:
    """The same of costs by the hour, which are times too."""
    blocks = plan.policy.cost.per_request.tier is Tier.BLOCKING
    return "cost: {per_request: {tier: advisory}}" if blocks else None


def level_line(plan: Plan, name: str) -> str | None:
    """The same of one level of the servers."""
    blocks = getattr(plan.policy.saturation, name).tier is Tier.BLOCKING
    return f"saturation: {{{name}: {{tier: advisory}}}}" if blocks else None


def undecidable(plan: Plan) -> Iterator[tuple[str, str]]:
    """Every blocking signal that a run of one arm after the other leaves open, and the line that lets it."""
    sides = (plan.baseline.release, plan.candidate.release)
    lines = {f"latency/{kind}": latency_line(plan, kind) for kind in ("ttft", "itl", "total")}
    lines["goodput/requests"] = goodput_line(plan)
    if is_hourly(plan):
        lines["cost/per_request"] = cost_line(plan)
    if all(side.get("engine") == "vllm" for side in sides):
        lines |= {f"saturation/{kind}": level_line(plan, kind) for kind in type(plan.policy.saturation).model_fields}
    yield from ((name, line) for name, line in lines.items() if line is not None)


def is_hourly(plan: Plan) -> bool:
    """Whether an arm pays for time, so that its costs hang together as times do."""
    prices = [side.release.get("price") or {} for side in (plan.baseline, plan.candidate)]
    return any(price.get(key) for price in prices for key in ("per_gpu_hour", "per_replica_hour"))
