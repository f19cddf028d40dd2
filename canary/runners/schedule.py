"""When the pairs of an open loop are due."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from canary.protocols import Answers, Pair


@dataclass(slots=True)
class Schedule:
    """The clock of one part of the pairs: it starts with the part, so that a pause delays nobody.

    A pair that finds no place when it is due is sent as soon as there is one,
    and stays due when it was: its answers show how late it was sent.
    """

    began_at: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    due: float = 0.0
    """Seconds into the part at which the pair drawn last is due."""

    async def wait(self, pair: Pair) -> float | None:
        """Returns when the pair is due, in seconds since the epoch, not before that; None at once in a closed loop."""
        if pair.gap_s is None:
            return None
        self.due += pair.gap_s
        due = self.due
        await asyncio.sleep(self.began + due - time.monotonic())
        return self.began_at + due


def stamped(answers: Answers, scheduled_at: float | None) -> Answers:
    """The answers with the time they were due, in an open loop."""
    if scheduled_at is None:
        return answers
    baseline, candidate = (answer and replace(answer, scheduled_at=scheduled_at) for answer in answers)
    return baseline, candidate
