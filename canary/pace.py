"""How fast something comes, lately, and how long the rest will take; the clock is the caller's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW_S = 30.0
"""What is older does not count: a rate follows the load within half a minute."""
GRAIN_S = 1.0
"""What comes within a second is kept together, so that memory does not grow with the rate."""


@dataclass(slots=True)
class Pace:
    """Amounts by moment; moments are seconds that never fall, whatever they count from."""

    began: float
    """When the first of it could have come."""
    _recent: deque[list[float]] = field(default_factory=deque)
    """Moment and amount of each second that is not too old."""

    def add(self, amount: float, now: float) -> None:
        """So much has come, now."""
        if self._recent and now - self._recent[-1][0] < GRAIN_S:
            self._recent[-1][1] += amount
        else:
            self._recent.append([now, amount])
        self._forget(now)

    def per_second(self, now: float) -> float | None:
        """The rate over the window, or since it began if that is later; None before a second has passed."""
        self._forget(now)
        span = min(now - self.began, WINDOW_S)
        return sum(amount for _, amount in self._recent) / span if span >= GRAIN_S else None

    def seconds_left(self, open_: float, now: float) -> float | None:
        """Until so much more has come at this rate; None where nothing comes."""
        rate = self.per_second(now)
        return open_ / rate if rate else None

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] <= now - WINDOW_S:
            self._recent.popleft()


def duration(seconds: float) -> str:
    """Seconds in words short enough for a line: `42 s`, `7 min`, `3.5 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"
