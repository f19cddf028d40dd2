"""What could not be held against the baseline's own answer, since it gave none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from canary.assertions.template import asks_baseline
from canary.compare.table import Table
from canary.plan import Plan


def unreferred(table: Table, plan: Plan) -> NDArray[np.bool_]:
    """Shape (cases,): cases that ask for the baseline's other answer, where it answered fewer than two times."""
    nowhere = np.zeros(len(table.prompts), dtype=bool)
    if table.repeat < 2 or table.recorded:
        return nowhere
    asking = [asks_baseline(plan.suite.assertions, prompt) for prompt in table.prompts]
    return np.array(asking, dtype=bool) & (table.succeeded < 2) if any(asking) else nowhere
