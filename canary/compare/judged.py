"""What is left to judges alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from canary.compare.table import Table
from canary.judging import graded_by_judge_alone, is_blocking
from canary.plan import Plan
from canary.records import POOLED, Arm


def left_to_judges(table: Table, plan: Plan) -> NDArray[np.bool_]:
    """Shape (cases,): cases that only a judge grades, whose metric the policy lets decide: they have no `pass`."""
    metrics = [graded_by_judge_alone(prompt, plan.suite.assertions) for prompt in table.prompts]
    blocking = {metric for metric in plan.judges if is_blocking(metric, plan.policy)}
    return np.array([not blocking.isdisjoint(of_case) for of_case in metrics], dtype=bool)


def tolerable(
    table: Table, asked: NDArray[np.bool_], complete: NDArray[np.bool_], plan: Plan, stratum: str
) -> NDArray[np.bool_] | None:
    """Shape (cases,): the cases that were left open, where losing them all could still be within the margin.

    None where none is open, or more are: then evidence is missing.
    """
    answered = ~(table.absent(Arm.BASELINE) | table.absent(Arm.CANDIDATE))
    left = asked & answered & ~complete
    margin = plan.policy.quality.margin(None if stratum == POOLED else stratum)
    return left if 0 < left.sum() < margin * asked.sum() else None
