"""What people say of both arms' answers, case by case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from canary.compare.table import Table
from canary.records import Arm, Label


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class People:
    """One metric as people see it; NaN where they were not asked of every answer."""

    values: NDArray[np.float64]
    """Shape (2, cases): baseline and candidate."""
    halved: NDArray[np.bool_]
    """Shape (cases,): cases with labels of some answers, but not of all."""

    def missing(self, chosen: NDArray[np.bool_]) -> tuple[str, ...]:
        """What the labels of the chosen cases lack."""
        halved = int((self.halved & chosen).sum())
        if not halved:
            return ()
        return (f"people labelled {halved} of {int(chosen.sum())} cases in part: they need both arms, every repeat",)


def people_of(table: Table, labels: Sequence[Label], metric: str) -> People | None:
    """The labels of one metric in the order of the cases; None where there are none."""
    mine = [label for label in labels if label.metric == metric]
    if not mine:
        return None
    values = {arm: np.full(len(table.prompts) * table.repeat, np.nan) for arm in Arm}
    for label in mine:
        values[label.arm][table.index[label.id] * table.repeat + label.repeat] = label.passed
    arms = np.stack([values[arm].reshape(-1, table.repeat) for arm in (Arm.BASELINE, Arm.CANDIDATE)])
    known = np.isfinite(arms)
    whole = known.all(axis=(0, 2))
    return People(values=np.where(whole, arms.mean(axis=2), np.nan), halved=known.any(axis=(0, 2)) & ~whole)
