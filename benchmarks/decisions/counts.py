"""Paired pass/fail results as counts: all that any of the rules looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PROMOTE, HOLD, ROLLBACK = 0, 1, 2
"""Verdicts, in the order of their severity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Pairs of R runs in K strata; every array has shape (R, K).

    One column means that nothing is stratified: the pool is all there is.
    """

    lost: Ints
    """The baseline passed, the candidate failed."""
    won: Ints
    """The reverse."""
    both: Ints
    """Both passed."""
    n: Ints
    """Pairs; a stratum that a run did not draw has none."""

    @classmethod
    def of_cells(cls, cells: Ints) -> Self:
        """From (R, K, 4): lost, won, both passed, neither."""
        return cls(lost=cells[..., 0], won=cells[..., 1], both=cells[..., 2], n=cells.sum(axis=-1))

    @property
    def pooled(self) -> Counts:
        """All strata as one column."""
        return Counts(
            lost=self.lost.sum(axis=1, keepdims=True),
            won=self.won.sum(axis=1, keepdims=True),
            both=self.both.sum(axis=1, keepdims=True),
            n=self.n.sum(axis=1, keepdims=True),
        )

    @property
    def with_pool(self) -> Counts:
        """The strata and, last, their sum; the pool alone where nothing is stratified."""
        pool = self.pooled
        if self.n.shape[1] == 1:
            return pool
        return Counts(
            lost=np.hstack([self.lost, pool.lost]),
            won=np.hstack([self.won, pool.won]),
            both=np.hstack([self.both, pool.both]),
            n=np.hstack([self.n, pool.n]),
        )

    @property
    def baseline_passes(self) -> Ints:
        """What the baseline passed, (R, K)."""
        return self.both + self.lost

    @property
    def candidate_passes(self) -> Ints:
        """What the candidate passed, (R, K)."""
        return self.both + self.won

    def run(self, index: int) -> Counts:
        """One run as counts of shape (1, K)."""
        one = slice(index, index + 1)
        return Counts(lost=self.lost[one], won=self.won[one], both=self.both[one], n=self.n[one])
