"""Both arms in this process, on asyncio."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from canary.engines import open_arms
from canary.plan import Pipeline
from canary.protocols import Answers, Note, Pair, unnoted
from canary.runners.drive import drive


def run(
    pipeline: Pipeline,
    pairs: Iterable[Pair | None],
    write: Callable[[Pair, Answers], None],
    note: Note = unnoted,
) -> None:
    """See `protocols.Runner`."""
    drive(open_arms, pipeline, pairs, write, note)
