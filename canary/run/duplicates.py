"""Whether one arm gives (almost) one answer to different prompts: a cache that mixes them up, or a collapse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from canary.records import Measurement
from canary.stats.repeats import repeat_test

NAME = "drift/duplicates"
ALIKE = 0.98
"""The cosine from which two answers are taken for one."""


def measure_duplicates(
    baseline: NDArray[np.float64],
    candidate: NDArray[np.float64],
    expected: Sequence[object],
    *,
    seed: int,
    embedder: str,
) -> Iterator[Measurement]:
    """How many more of the candidate's answers repeat another than of the baseline's, where any more do.

    Unit vectors (cases, dimensions), a row a case. Cases that expect the same
    answer may get it.
    """
    found = repeat_test(baseline, candidate, expected, alike=ALIKE, seed=seed)
    if found.candidate > found.baseline:
        shares = (
            f"{found.baseline:.0%} of the baseline's answers and {found.candidate:.0%} of the candidate's repeat one"
        )
        yield Measurement(
            id=NAME,
            n=found.test.n,
            value=found.candidate - found.baseline,
            p=found.test.p,
            method=f"{found.test.method}; {shares}, {embedder}",
            warnings=found.test.warnings,
        )
