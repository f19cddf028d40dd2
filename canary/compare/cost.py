"""Cost, paired per prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from canary.compare.apart import RECORDED, asked_apart, cost_line, is_hourly, reason, recorded_apart, shown_only
from canary.compare.table import Table, absences, lacking, pooled
from canary.plan import Plan
from canary.records import MINIMUM_PAIRS, POOLED, Arm, Comparison, Response, Scale

ALIKE = 0.01
"""The price of a second of an arm paid by the hour differs by less between answers: it is rounded, if anything."""

_PRICE = "carry no cost: give 'cost_usd', or the release a 'price'"


def cost_comparisons(table: Table, plan: Plan) -> Iterator[Comparison]:
    """Cost per request, wherever a line carries a cost or the policy asks for it."""
    costs = {arm: table.means(arm, _cost) for arm in Arm}
    measured = any(np.isfinite(values).any() for values in costs.values())
    if measured or "cost/per_request" in plan.required:
        yield _comparison(table, costs, plan)
    for name in plan.required:
        if name in {"cost/per_session", "cost/per_token"}:
            yield _of_traffic(table, costs, name)


def _cost(response: Response | None) -> float:
    return np.nan if response is None or response.cost_usd is None else response.cost_usd


def _comparison(table: Table, costs: dict[Arm, NDArray[np.float64]], plan: Plan) -> Comparison:
    used = np.isfinite(costs[Arm.BASELINE]) & np.isfinite(costs[Arm.CANDIDATE])
    starts = table.starts.reshape(-1, table.repeat).min(axis=1)[used]
    by_time = is_hourly(plan) or any(_is_by_the_second(table.answers(arm)) for arm in Arm)
    comparison = pooled(
        table,
        costs,
        kind="cost",
        metric="per_request",
        scale=Scale.UNBOUNDED,
        missing=(
            *absences(table, table.selection(POOLED)),
            *lacking(table, lambda response: response.cost_usd is None, _PRICE),
            *([reason(cost_line(plan))] if by_time and asked_apart(table, plan) else ()),
            *(_untimed(starts, plan) if by_time else ()),
        ),
        used=used,
    )
    if not by_time:
        return comparison
    warnings = (RECORDED,) if recorded_apart(table, plan) else ()
    return replace(_in_time(comparison, starts), warnings=(*comparison.warnings, *warnings))


def _is_by_the_second(answers: Sequence[Response | None]) -> bool:
    """Whether costs are times, which vary, at one price: nothing else of a recorded answer says what it was paid by."""
    known = [(r.cost_usd, seconds) for r in answers if r and r.cost_usd and (seconds := spent_s(r))]
    if len(known) < MINIMUM_PAIRS:
        return False
    costs, times = np.array(known).T
    with np.errstate(all="ignore"):  # a price of nothing, or beyond every number, is none by the second
        return _spread(costs / times) < ALIKE < _spread(times)


def _spread(values: NDArray[np.float64]) -> float:
    """The middle nine tenths over the median."""
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return float((high - low) / middle)


def spent_s(response: Response) -> float | None:
    """Seconds that a request took, every try of it; None where nothing says."""
    tries = [each.seconds for each in response.attempts]
    return sum(tries) if tries else response.total_s


def _untimed(starts: NDArray[np.float64], plan: Plan) -> tuple[str, ...]:
    """Costs that are times and are of nobody knows when."""
    without = int(np.sum(starts < 0))
    why = (
        f"costs are times here (each second costs the same), and {without} of {starts.size} pairs carry no "
        "'started_at': a spell that was slow for one arm would pass for a difference"
    )
    return (f"{why}{shown_only(cost_line(plan))}",) if without else ()


def _in_time(comparison: Comparison, starts: NDArray[np.float64]) -> Comparison:
    """The same in the order of the clock."""
    order = np.argsort(starts, kind="stable")
    return replace(
        comparison,
        baseline=comparison.baseline[order],
        candidate=comparison.candidate[order],
        clusters=comparison.clusters[order],
        timed=True,
    )


def _of_traffic(table: Table, costs: dict[Arm, NDArray[np.float64]], name: str) -> Comparison:
    """What is asked for by name but belongs to routed traffic."""
    metric = name.removeprefix("cost/")
    nothing = np.zeros(len(table.prompts), dtype=bool)
    why = f"{name} is measured on routed traffic only (canary compare --traffic)"
    return pooled(table, costs, kind="cost", metric=metric, scale=Scale.UNBOUNDED, missing=(why,), used=nothing)
