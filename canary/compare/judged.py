"""What a judge may decide: nothing, until it was compared with people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from canary.compare.table import Table
from canary.judging import graded_by_judge_alone, is_blocking
from canary.plan import Plan
from canary.records import Comparison


def distrust(comparison: Comparison, plan: Plan) -> Comparison:
    """The comparison with why its judge may not decide: missing evidence where it would, else a warning."""
    judge = plan.judges.get(comparison.metric)
    if judge is None or not judge.problem:
        return comparison
    if is_blocking(comparison.metric, plan.policy):
        return replace(comparison, missing=(*comparison.missing, judge.problem))
    return replace(comparison, warnings=(*comparison.warnings, judge.problem))


def left_to_judges(table: Table, plan: Plan) -> NDArray[np.bool_]:
    """Shape (cases,): cases that only a judge grades, whose metric the policy lets decide: they have no `pass`."""
    metrics = [graded_by_judge_alone(prompt, plan.suite.assertions) for prompt in table.prompts]
    blocking = {metric for metric in plan.judges if is_blocking(metric, plan.policy)}
    return np.array([not blocking.isdisjoint(of_case) for of_case in metrics], dtype=bool)
