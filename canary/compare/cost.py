"""Cost, paired per prompt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from canary.compare.table import POOLED, Table, absences
from canary.plan import Plan
from canary.records import Arm, Comparison, Response, Scale


def cost_comparisons(table: Table, plan: Plan) -> Iterator[Comparison]:
    """Cost per request, wherever a line carries a cost or the policy asks for it."""
    costs = {arm: _costs(table, arm) for arm in Arm}
    measured = any(np.isfinite(values).any() for values in costs.values())
    if measured or "cost/per_request" in plan.required:
        yield _comparison(table, costs)


def _costs(table: Table, arm: Arm) -> NDArray[np.float64]:
    """Shape (cases,): mean cost over repeats; NaN where any is unknown."""
    rows = np.fromiter((_cost(response) for response in table.answers(arm)), float, len(table.answers(arm)))
    return np.asarray(rows.reshape(-1, table.repeat).mean(axis=1))


def _cost(response: Response | None) -> float:
    return np.nan if response is None or response.cost_usd is None else response.cost_usd


def _comparison(table: Table, costs: dict[Arm, NDArray[np.float64]]) -> Comparison:
    everything = table.selection(POOLED)
    used = np.isfinite(costs[Arm.BASELINE]) & np.isfinite(costs[Arm.CANDIDATE])
    return Comparison(
        name="cost/per_request",
        kind="cost",
        stratum=POOLED,
        metric="per_request",
        scale=Scale.UNBOUNDED,
        baseline=costs[Arm.BASELINE][used],
        candidate=costs[Arm.CANDIDATE][used],
        clusters=table.clusters[used],
        strata=np.zeros(int(used.sum()), dtype=np.int64),
        weights=(1.0,),
        repeat=table.repeat,
        missing=(*absences(table, everything), *_unpriced(table)),
    )


def _unpriced(table: Table) -> tuple[str, ...]:
    """A response that answered but carries no cost is missing evidence.

    An errored one may have cost nothing or something; its pair is left out.
    """
    sentences = []
    for arm in Arm:
        answers = [response for response in table.answers(arm) if response is not None and response.error is None]
        without = sum(response.cost_usd is None for response in answers)
        if without:
            sentences.append(
                f"{without} of {len(answers)} {arm} responses carry no cost: give 'cost_usd', or the release a 'price'"
            )
    return tuple(sentences)
