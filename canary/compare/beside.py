"""What could not be held against the baseline's own answer, since it gave none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from canary.assertions.template import asks_baseline
from canary.compare.table import Table
from canary.plan import Plan


def unreferred(table: Table, plan: Plan) -> NDArray[np.bool_]:
    """Shape (cases,): cases that ask for the baseline's other answer, where it said something fewer than two times."""
    nowhere = np.zeros(len(table.prompts), dtype=bool)
    if table.repeat < 2 or table.recorded:
        return nowhere
    asking = [asks_baseline(plan.suite.assertions, prompt) for prompt in table.prompts]
    if not any(asking):
        return nowhere
    said = [bool(r and r.output.strip()) and table.is_served(row) for row, r in enumerate(table.baseline)]
    return np.asarray(np.array(asking, dtype=bool) & (np.reshape(said, (-1, table.repeat)).sum(axis=1) < 2))
