"""Both arms in this process, on asyncio."""

from __future__ import annotations

from collections.abc import Iterable

from canary.engines import open_arms
from canary.pipeline import Pipeline
from canary.protocols import Note, Pair, Write, unnoted
from canary.runners.drive import drive


def run(
    pipeline: Pipeline,
    pairs: Iterable[Pair | None],
    write: Write,
    note: Note = unnoted,
) -> None:
    """See `protocols.Runner`."""
    drive(open_arms, pipeline, pairs, write, note)
