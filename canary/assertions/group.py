"""`assert-set`: several assertions as one, by their weighted mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from canary.assertions.adapted import Adapted
from canary.assertions.attempt import abstain
from canary.assertions.leaf import Pairs
from canary.assertions.lift import at_least
from canary.protocols import Assertion, Grade, Tools
from canary.records import Scale


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertSet:
    """Worth the weighted mean of its members; passes from the threshold on, else if all pass.

    Members of weight 0 are asked and do not count. A set abstains where a
    member that counts does.
    """

    scale: ClassVar[Scale] = Scale.BOUNDED
    metric: str
    members: tuple[Assertion, ...]
    threshold: float | None

    def inner(self, pairs: Pairs) -> Iterator[tuple[Assertion, Pairs]]:
        """Its members."""
        yield from ((member, pairs) for member in self.members)

    def __call__(self, pairs: Pairs, tools: Tools) -> list[Grade]:
        """One grade per pair, in order."""
        columns = [member(pairs, tools) for member in self.members]
        return [self._grade(grades) for grades in zip(*columns, strict=True)]

    def _grade(self, grades: Sequence[Grade]) -> Grade:
        counted = [
            (weight_of(member), member.metric, grade)
            for member, grade in zip(self.members, grades, strict=True)
            if weight_of(member)
        ]
        unknown = [f"{metric}: {grade.reason}" for _, metric, grade in counted if grade.value is None]
        if unknown:
            return abstain("; ".join(unknown))
        total = math.fsum(weight for weight, _, _ in counted)
        value = math.fsum(weight * (grade.value or 0.0) for weight, _, grade in counted) / total
        failed = "; ".join(f"{metric}: {grade.reason}" for _, metric, grade in counted if not grade.passed)
        if self.threshold is not None:
            return at_least(value, self.threshold, "weighted mean", f"({failed})" if failed else "")
        return Grade(value=value, passed=not failed, reason=failed or f"passes all {len(counted)}")


def weight_of(assertion: Assertion) -> float:
    """What an assertion counts in a set; 1 unless it says otherwise."""
    return assertion.weight if isinstance(assertion, Adapted) else 1.0
