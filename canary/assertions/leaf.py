"""What an assertion is made of once `not-`, `transform` and sets are taken off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from canary.protocols import Assertion
from canary.records import Prompt, Response

Pairs = Sequence[tuple[Prompt, Response]]


@runtime_checkable
class Wrapping(Protocol):
    """An assertion around others."""

    def inner(self, pairs: Pairs) -> Iterator[tuple[Assertion, Pairs]]:
        """Those it is made of, each with the pairs that it will be given."""
        ...


def leaves(assertion: Assertion, pairs: Pairs = ()) -> Iterator[tuple[Assertion, Pairs]]:
    """The assertions that look at answers themselves, with what they will look at."""
    if isinstance(assertion, Wrapping):
        for part, given in assertion.inner(pairs):
            yield from leaves(part, given)
    else:
        yield assertion, pairs
