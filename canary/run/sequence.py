"""One arm after the other, where there is no room for both: the baseline's answers wait on the disk.

The journal keeps its promise, both arms' answers to a pair in one write; the
spool beside it is no part of the record, and is gone when the run is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from canary.journal import Journal
from canary.pipeline import Pipeline
from canary.protocols import Answers, Pair, Write
from canary.records import Arm
from canary.run.hire import billing
from canary.run.progress import Screen
from canary.run.spool import Spool
from canary.run.tally import Tally

SPOOL = ".baseline.jsonl"

Ask = Callable[[Iterable[Pair], Write], None]
"""Has a runner answer pairs and write each."""


def ask_in_turn(journal: Journal, pairs: Sequence[Pair], pipeline: Pipeline, ask: Ask, screen: Screen) -> None:
    """The baseline answers what it has not answered yet, then the candidate answers everything.

    Cut off anywhere, it goes on there: nothing that stands in the spool or in
    the journal is asked again.
    """
    with Spool.open(spool_of(journal), Arm.BASELINE) as spool:
        for warning in spool.warnings:
            screen.say(f"canary: {warning}")
        _ask_baseline(spool, pairs, ask, screen)
        _ask_candidate(spool, journal, pairs, pipeline, ask, screen)
    discard(journal)


def spool_of(journal: Journal) -> Path:
    """Where the baseline's answers wait."""
    return journal.path.with_name(SPOOL)


def discard(journal: Journal) -> None:
    """Removes what waits, once all of it stands in the journal."""
    spool_of(journal).unlink(missing_ok=True)


def _ask_baseline(spool: Spool, pairs: Sequence[Pair], ask: Ask, screen: Screen) -> None:
    open_ = [replace(pair, candidate=None) for pair in pairs if pair.key not in spool]
    if not open_:
        return
    screen.say(f"the baseline first: {len(open_):,} of {len(pairs):,} answers to come")
    with screen.track("baseline answers", len(pairs), done=len(pairs) - len(open_), soon_s=0) as track:
        tally = Tally(track, comes_up=True)

        def keep(pair: Pair, answers: Answers) -> None:  # noqa: ARG001 - the runner's contract
            spool.append(answers[0])
            tally.add(answers)

        ask(open_, keep)


def _ask_candidate(
    spool: Spool, journal: Journal, pairs: Sequence[Pair], pipeline: Pipeline, ask: Ask, screen: Screen
) -> None:
    bill = billing(pipeline)
    screen.say(f"then the candidate: {len(pairs):,} answers to come")
    with screen.track("pairs", len(pairs), soon_s=0) as track:
        tally = Tally(track, comes_up=True)

        def join(pair: Pair, answers: Answers) -> None:
            journal.append(*bill((spool.of(pair.key), answers[1])))
            tally.add(answers)

        ask((replace(pair, baseline=None) for pair in pairs), join)
