"""Cost, paired per prompt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from canary.compare.apart import asked_apart, cost_line, is_hourly, reason
from canary.compare.table import Table, absences, lacking, pooled
from canary.plan import Plan
from canary.records import POOLED, Arm, Comparison, Response, Scale

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
    hourly = is_hourly(plan)
    comparison = pooled(
        table,
        costs,
        kind="cost",
        metric="per_request",
        scale=Scale.UNBOUNDED,
        missing=(
            *absences(table, table.selection(POOLED)),
            *lacking(table, lambda response: response.cost_usd is None, _PRICE),
            *([reason(cost_line(plan))] if hourly and asked_apart(table, plan) else ()),
        ),
        used=used,
    )
    starts = table.starts.reshape(-1, table.repeat).min(axis=1)[used]
    return _in_time(comparison, starts) if hourly and np.any(starts >= 0) else comparison


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
