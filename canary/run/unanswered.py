"""A run that failed before anything was answered: nothing of it is kept, as there is nothing to go on with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from canary.errors import EvidenceError
from canary.evidence import RunDirectory
from canary.journal import Journal

MADE_AT_ONCE = {"plan.json", "prompts.jsonl", ".lock"}
"""What stands in a run before its first answer."""


@contextmanager
def kept_if_answered(run: RunDirectory, err: TextIO) -> Iterator[None]:
    """Removes a new run where what is done with it fails and has left no answer, of no arm.

    An interrupt then says no more which run it cut off.
    """
    try:
        yield
    except BaseException as error:
        if not _removed(run):
            raise
        print(f"nothing was answered, so {run.path} is not kept", file=err)
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def _removed(run: RunDirectory) -> bool:
    """Whether it held nothing; under its lock, so that nobody goes on with it meanwhile."""
    try:
        with Journal.open(run.responses):
            if any(path.stat().st_size for path in run.path.iterdir() if path.name not in MADE_AT_ONCE):
                return False
            gone = run.path.with_name(f".{run.path.name}")
            run.path.rename(gone)
            shutil.rmtree(gone)
    except (OSError, EvidenceError):
        return False
    return True
