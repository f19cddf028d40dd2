"""`not-<type>`: the opposite of any assertion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from canary.assertions.leaf import Pairs
from canary.protocols import Assertion, Grade, Tools
from canary.records import Scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Negated:
    """Passes where the other fails, worth 1 minus its value.

    An abstention stays one: not knowing whether is not knowing whether not.
    """

    metric: str
    positive: Assertion

    @property
    def scale(self) -> Scale:
        """That of the other; `parse` sees to it that it lies in 0..1."""
        return self.positive.scale

    def inner(self, pairs: Pairs) -> Iterator[tuple[Assertion, Pairs]]:
        """The other, on the same answers."""
        yield self.positive, pairs

    def __call__(self, pairs: Pairs, tools: Tools) -> list[Grade]:
        """One grade per pair, in order."""
        return [opposite(grade) for grade in self.positive(pairs, tools)]


def opposite(grade: Grade) -> Grade:
    """The grade of the opposite claim; the reason's fact stays the fact."""
    if grade.value is None or grade.passed is None:
        return grade
    reason = f"expected the opposite: {grade.reason}" if grade.passed else grade.reason
    return replace(grade, value=1.0 - grade.value, passed=not grade.passed, reason=reason)
