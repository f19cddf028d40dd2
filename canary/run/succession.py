"""A run that was cut off is succeeded by the one that went on with it elsewhere, and loses nothing by that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from canary.appended import cut_torn_line
from canary.codec import encode
from canary.document import display
from canary.errors import EvidenceError
from canary.evidence import LABELS, TELEMETRY, RunDirectory, load_plan
from canary.journal import Journal, responses_in
from canary.records import Response
from canary.resumption import changes
from canary.run.sequence import SPOOL

GONE_WITH_THE_END = {TELEMETRY, LABELS}
"""What a run that was cut off may have, and need not have once it has gone on."""


def succeed(found: Path, target: Path, aside: Path) -> None:
    """Puts the run `found` where `target` is, which may be there already; what was there is moved `aside`.

    All on one disk. Raises EvidenceError where the one that is there is
    finished, asks something else or by other rules, or has an answer or a file
    that the other has not.
    """
    if not os.path.lexists(target):
        found.rename(target)
        return
    with _going_on(target, found):
        try:
            target.rename(aside)
            found.rename(target)
        finally:  # an interrupt between the two must not leave what was there to be cleared away
            if not os.path.lexists(target):
                aside.rename(target)


@contextmanager
def _going_on(there: Path, found: Path) -> Iterator[None]:
    """Under the lock of the run that is there, so that nobody goes on with it meanwhile."""
    run, shown = RunDirectory(there), display(there)
    if run.manifest.exists() or not run.responses.is_file():
        raise EvidenceError(
            f"{shown} is there already: 'canary replay {shown}' judges it; or fetch elsewhere with --runs"
        )
    with Journal.open(run.responses):
        if losses := list(_losses(there, found)):
            raise EvidenceError(f"{shown} is there already, {loss}, or fetch elsewhere with --runs" for loss in losses)
        yield


def _losses(there: Path, found: Path) -> Iterator[str]:
    """What speaks against it, with what to do instead: what would be gone, or answer another question."""
    for sentence, is_mixing in changes(*(load_plan(RunDirectory(run)) for run in (there, found))):
        if is_mixing:
            yield f"and the fetched run obeys another plan ({sentence}): go on with it"
    if _cases(there) != _cases(found):
        yield "of other cases: go on with it"
    if lost := _lost(there, found):
        yield f"with {lost} answers that the fetched run has not: go on with it"
    if besides := ", ".join(sorted(_files(there) - _files(found) - GONE_WITH_THE_END)):
        yield f"with files that the fetched run has not ({besides}): move them"


def _cases(run: Path) -> bytes:
    """What is asked."""
    path = RunDirectory(run).prompts
    return path.read_bytes() if path.is_file() else b""


def _files(run: Path) -> set[str]:
    """What a run's folder holds, but for what the run hides from others."""
    return {path.name for path in run.iterdir() if not path.name.startswith(".")}


def _lost(there: Path, found: Path) -> int:
    """Answers that would be gone, or would be others; of what waits for the other arm, the cost is known at the end."""
    had, has = (_answers(RunDirectory(run).responses) for run in (there, found))
    waited, waits = (_answers(run / SPOOL) for run in (there, found))
    free = {encode(_unbilled(one)) for one in (*has, *waits)}
    lost = set(map(encode, had)) - set(map(encode, has))
    return len(lost) + len({encode(_unbilled(one)) for one in waited} - free)


def _answers(path: Path) -> list[Response]:
    """All of a file; what a crash cut in two is no answer."""
    if not path.is_file():
        return []
    cut_torn_line(path)
    return list(responses_in(path))


def _unbilled(response: Response) -> Response:
    tries = tuple(replace(each, cost_usd=None) for each in response.attempts)
    return replace(response, attempts=tries, cost_usd=None)
