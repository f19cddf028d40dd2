"""What was observed of each arm's servers over a run: levels as samples, counters as what they rose by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from canary.bounds import is_observed
from canary.records import Arm, Evidence, Observation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmServers:
    """One arm's servers."""

    seen: tuple[tuple[Observation, ...], ...]
    """Of each replica, in the order of time."""
    requests: int
    """How many the arm was sent."""

    @property
    def moments(self) -> list[float]:
        """When it was looked at, in any order."""
        return [one.at for replica in self.seen for one in replica]

    def levels(self, name: str) -> NDArray[np.float64]:
        """Every sample of one value, of all replicas; one that no server can have is none."""
        values = (one.values[name] for replica in self.seen for one in replica if name in one.values)
        return np.array([value for value in values if is_observed(name, value)])

    def silences(self, name: str) -> int:
        """How often a server that went on did not say a value; one that was coming up had none to say."""
        return sum(_silences(replica, name) for replica in self.seen)

    def rise(self, name: str) -> float | None:
        """How much a counter rose over the run, all replicas together; None where it was never seen twice.

        A server that starts anew counts from zero: from its first sample
        where it says so, else, where the counter fell, from zero itself.
        """
        steps = list(self._steps(name))
        return sum(rise for rise, _ in steps) if steps else None

    def rate(self, name: str) -> float | None:
        """By how much a counter rose in a second of one replica that went on; None where none did."""
        going_on = [(rise, seconds) for rise, seconds in self._steps(name) if seconds > 0]
        seconds = sum(each for _, each in going_on)
        return sum(rise for rise, _ in going_on) / seconds if seconds else None

    def _steps(self, name: str) -> Iterator[tuple[float, float]]:
        """By how much it rose between two samples, and in how many seconds; zero where a server started between."""
        for replica in self.seen:
            told = [one for one in replica if name in one.values]
            for before, after in pairwise(told):
                risen = after.values[name] - before.values[name]
                if "started_s" in after.values:
                    continue
                yield (risen, after.at - before.at) if risen >= 0 else (after.values[name], 0.0)


def _silences(replica: Sequence[Observation], name: str) -> int:
    count = since = 0
    was_heard = False
    for one in replica:
        if "started_s" in one.values:
            since, was_heard = 0, False
        if name in one.values:
            count += since if was_heard else 0
            since, was_heard = 0, True
        else:
            since += 1
    return count


def observe(evidence: Evidence) -> dict[Arm, ArmServers]:
    """By arm; an arm of which nothing was noted is left out."""
    sent = {arm: sum(response.arm is arm for response in evidence.responses) for arm in Arm}
    return {
        arm: ArmServers(seen=replicas, requests=sent[arm])
        for arm in Arm
        if (replicas := _replicas([one for one in evidence.observations if one.arm is arm]))
    }


def _replicas(seen: Sequence[Observation]) -> tuple[tuple[Observation, ...], ...]:
    numbers = sorted({one.replica for one in seen})
    return tuple(
        tuple(sorted((one for one in seen if one.replica == number), key=lambda one: one.at)) for number in numbers
    )
