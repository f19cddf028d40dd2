"""What is compared where users are served: two streams of routed traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from canary.records import Scale

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """One arm of a quantity of routed traffic, in order of time.

    A *unit* is a routing key (a session, or a request alone), numbered in the
    order of its first request.
    """

    values: NDArray[np.float64]
    """Shape (m,); failed requests are +inf in latency."""
    sizes: NDArray[np.float64]
    """What a ratio divides by, beside each value: 1 for a request, or tokens; shape (m,)."""
    units: NDArray[np.int64]
    """Unit of each value, shape (m,)."""
    times: NDArray[np.float64]
    """When each value's request began, rising, shape (m,)."""
    phases: NDArray[np.int64]
    """Shape (units,): what both arms met alike (a share, a stretch of time)."""
    blocks: NDArray[np.int64]
    """Shape (units,): fine stretches of time, numbered alike in both arms."""
    buckets: NDArray[np.int64]
    """Shape (m,): length of the answer, where only equal lengths compare; else 0."""
    shares: NDArray[np.float64]
    """Shape (units,): the candidate's assigned share; NaN where unknown."""

    @property
    def n(self) -> int:
        """Units that carry a value."""
        return len(set(self.units.tolist()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contrast:
    """One quantity of one stratum of routed traffic: two streams, nothing paired."""

    name: str
    """The signal's name, or for latency the prefix of several."""
    kind: str
    """`quality`, `errors`, `guardrail`, `latency` or `cost`."""
    stratum: str
    metric: str
    scale: Scale
    baseline: Stream
    candidate: Stream
    sticky: bool
    """Whether some routing key has several requests."""
    minutes: float
    """How long both arms were served."""
    unsettled: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    """Clusters and strata of pairs that were left open: each counts against whatever is claimed."""
    missing: tuple[str, ...]
    """Why evidence is missing, one sentence per reason; any makes it so."""
    warnings: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Units of the smaller arm."""
        return min(self.baseline.n, self.candidate.n)
