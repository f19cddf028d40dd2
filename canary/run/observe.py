"""What servers say of themselves, kept while a run goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from canary.appended import append_whole, cut_torn_line
from canary.codec import encode
from canary.protocols import Note
from canary.records import Observation


@contextmanager
def observing(path: Path, say: Callable[[str], None]) -> Iterator[Note]:
    """Appends to `path` and says how long each server took to come up.

    The file is there only where something was observed. A line that a crash
    cut in two is taken back first. The caller holds the run's lock.
    """
    if path.is_file():
        for warning in cut_torn_line(path):
            say(f"canary: {warning}")
    file: int | None = None

    def note(seen: Sequence[Observation]) -> None:
        nonlocal file
        if file is None:
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        append_whole(file, b"".join(map(encode, seen)))
        for one in seen:
            if "started_s" in one.values:
                who = f"{one.arm or 'both arms'}, replica {one.replica + 1}"
                say(f"{who}: up after {one.values['started_s']:.1f} s")

    try:
        yield note
    finally:
        if file is not None:
            os.fsync(file)
            os.close(file)
