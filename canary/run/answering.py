"""The pairs of a run, asked of both arms: which are open, in which order, until when."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pkgutil import resolve_name

from canary.evidence import read_records
from canary.journal import Journal, Key
from canary.looks.stop import has_looks
from canary.order import visiting_order
from canary.pipeline import Pipeline
from canary.protocols import Answers, Note, Pair, Runner, Write
from canary.records import Arm, Prompt, Response
from canary.release import LiveRelease
from canary.run.hire import billing
from canary.run.load import Loaded
from canary.run.lookout import Lookout
from canary.run.progress import SOON_S, Screen
from canary.run.render import render
from canary.run.resolve import IN_TURN
from canary.run.scoring import Scoring
from canary.run.sequence import ask_in_turn, discard
from canary.run.tally import Tally
from canary.runners import RUNNERS


def answer_open(journal: Journal, loaded: Loaded, scoring: Scoring, note: Note, screen: Screen) -> None:
    """Has the runner answer every pair that is not in the journal, until the verdict is certain.

    Raises EngineError where an arm cannot come up or is lost.
    """
    total = len(loaded.golden.prompts) * loaded.suite.repeat
    open_ = total - len(journal.completed)
    if not open_:
        discard(journal)
        return
    runner: Runner = resolve_name(RUNNERS[loaded.pipeline.runner.type])
    if loaded.plan.sequential:
        pairs = _open(visiting_order(loaded.golden.prompts, loaded.plan.seed), _gaps(loaded), loaded, journal.completed)
        screen.say(IN_TURN)
        ask_in_turn(
            journal, pairs, loaded.pipeline, lambda some, write: runner(loaded.pipeline, some, write, note), screen
        )
        return
    live = _live(loaded)
    if live:
        screen.say(f"starting {' and '.join(live)}")
    soon_s = 0 if live else SOON_S  # files are read sooner than anybody reads how far
    with screen.track("pairs", total, done=len(journal.completed), soon_s=soon_s) as track:
        lookout = _lookout(journal, loaded, scoring, screen)
        tally = Tally(track, comes_up=bool(live))
        write = _writer(journal, loaded.pipeline, tally, lookout)
        runner(loaded.pipeline, _pairs(loaded, journal.completed, lookout, tally), write, note)


def _lookout(journal: Journal, loaded: Loaded, scoring: Scoring, screen: Screen) -> Lookout | None:
    if not has_looks(loaded.plan):
        return None
    written = partial(read_records, Response, journal.path)
    lookout = Lookout(loaded, scoring, written, screen.say)
    lookout.add(*written())
    return lookout


def _live(loaded: Loaded) -> list[str]:
    """The arms that have to come up, by name."""
    asked = {Arm.CANDIDATE: loaded.pipeline.candidate}
    if loaded.plan.stage != "build":
        asked = {Arm.BASELINE: loaded.pipeline.baseline} | asked
    return [f"{arm} {release.name!r}" for arm, release in asked.items() if isinstance(release, LiveRelease)]


def _writer(journal: Journal, pipeline: Pipeline, tally: Tally, lookout: Lookout | None) -> Write:
    bill = billing(pipeline)

    def write(pair: Pair, answers: Answers) -> None:  # noqa: ARG001 - the runner's contract
        answers = baseline, candidate = bill(answers)
        journal.append(baseline, candidate)
        tally.add(answers)
        if lookout is not None:
            lookout.add(*(answer for answer in answers if answer is not None))

    return write


def _pairs(loaded: Loaded, completed: set[Key], lookout: Lookout | None, tally: Tally) -> Iterator[Pair | None]:
    """Open pairs in the visiting order, until a look between two of its parts says that the verdict is certain.

    A pause before each look: nothing is in flight while answers are scored,
    so that looking slows no answer down.
    """
    order = visiting_order(loaded.golden.prompts, loaded.plan.seed)
    gaps = _gaps(loaded)
    for cases in (order,) if lookout is None else lookout.parts(order):
        asked = _open(cases, gaps, loaded, completed)
        yield from asked
        if lookout is not None:
            if asked:
                yield None
            with tally.paused():
                is_certain = lookout.is_certain(cases)
            if is_certain:
                return


def _gaps(loaded: Loaded) -> Iterator[float | None]:
    return itertools.chain(loaded.gaps, itertools.repeat(None))


def _open(cases: Sequence[Prompt], gaps: Iterator[float | None], loaded: Loaded, completed: set[Key]) -> list[Pair]:
    """What is not answered yet of some cases; each has its place in the load, answered or not."""
    rows = [(prompt, repeat, next(gaps)) for repeat in range(loaded.suite.repeat) for prompt in cases]
    return [_pair(*row, loaded) for row in rows if (row[0].id, row[1]) not in completed]


def _pair(prompt: Prompt, repeat: int, gap_s: float | None, loaded: Loaded) -> Pair:
    """Both arms' requests; which is sent first is decided by coin."""
    pipeline, seed = loaded.pipeline, loaded.plan.seed
    alone = loaded.plan.stage == "build"
    first = random.Random(f"{seed}/{prompt.digest}/{repeat}").choice((Arm.BASELINE, Arm.CANDIDATE))
    return Pair(
        baseline=None if alone else render(prompt, pipeline.baseline, Arm.BASELINE, repeat, seed),
        candidate=render(prompt, pipeline.candidate, Arm.CANDIDATE, repeat, seed),
        first=first,
        gap_s=gap_s,
    )
