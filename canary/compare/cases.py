"""Case by case, what a look during the run may know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from canary.compare.errors import error_differences
from canary.compare.quality import MetricColumn, columns_of
from canary.compare.table import Table, tabulate
from canary.plan import Plan
from canary.records import Arm, Evidence, Scale

BETS = (Scale.PASS_FAIL, Scale.BOUNDED, Scale.ORDINAL)
"""Scales whose differences are bounded; the others have one look, at the end."""

Question = tuple[str, str]
"""Kind (`quality` or `errors`) and metric."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leads:
    """By how much the candidate leads on one question, case by case; negative is a loss."""

    strata: NDArray[np.int64]
    """Shape (cases,): index into the plan's strata."""
    values: NDArray[np.float64]
    """Shape (cases,), in [-1, 1]; NaN where it is unknown."""

    def then(self, more: Leads) -> Leads:
        """These cases and those after them."""
        return Leads(strata=np.append(self.strata, more.strata), values=np.append(self.values, more.values))


def leads(evidence: Evidence, plan: Plan) -> dict[Question, Leads]:
    """Every question's cases, in the order of the evidence's prompts, which are answered in full.

    Cases that a metric does not apply to are left out of it.
    """
    table = tabulate(evidence, plan)
    order = np.array([table.index[prompt.id] for prompt in evidence.prompts], dtype=np.int64)
    found: dict[Question, Leads] = {}
    for metric, column in columns_of(table, evidence.scores, plan).items():
        asked = order[column.asked[order]]
        found["quality", metric] = Leads(strata=table.strata[asked], values=_lead(table, column)[asked])
    for kind, values in error_differences(table).items():
        found["errors", kind] = Leads(strata=table.strata[order], values=values[order])
    return found


def _lead(table: Table, column: MetricColumn) -> NDArray[np.float64]:
    """Shape (cases,); scores that came with the answers are left to the end, as every line must carry them."""
    means = {arm: column.values[arm].reshape(-1, table.repeat).mean(axis=1) for arm in Arm}
    lead = means[Arm.CANDIDATE] - means[Arm.BASELINE]
    if column.scale not in BETS or table.recorded:
        return np.full(lead.shape, np.nan)
    if column.scale is Scale.ORDINAL:
        return np.asarray(np.sign(lead))
    return np.asarray(np.where(np.abs(lead) <= 1, lead, np.nan))
