"""The shell around the looks: answers are scored as they come in, in pauses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from canary.assertions import load_plugins
from canary.assertions.binding import bind
from canary.looks.stop import Parts, decided
from canary.looks.watch import Watch
from canary.order import checkpoints
from canary.records import Evidence, Prompt, Response
from canary.run.capacity import pairs_in_flight
from canary.run.load import Loaded
from canary.run.scoring import Scoring
from canary.signals.wording import points
from canary.stats.confidence_sequence import mean_sequence

WAVES = 12
"""Between two pauses every place in flight is filled so often: a pause waits for the slowest, one filling or so."""


class Lookout:
    """Looks at one run while it goes on.

    What it concludes is concluded again by `evaluate`, from the evidence
    alone; here it only ends the run. Answers are held until they were looked
    at; `written` reads all of them again where a look needs more. Raises
    UsageError where a case cannot be scored, before anything is asked.
    """

    def __init__(
        self, loaded: Loaded, scoring: Scoring, written: Callable[[], Iterable[Response]], say: Callable[[str], None]
    ) -> None:
        bind(loaded.golden.prompts, loaded.suite.assertions, load_plugins(loaded.suite.plugins), loaded.plan.stage)
        self._loaded, self._scoring, self._written, self._say = loaded, scoring, written, say
        self._watch, self._unseen = Watch(loaded.plan), Parts()
        self._done: list[Prompt] = []
        self._is_blind = False

    def add(self, *answers: Response) -> None:
        """Answers as they come in, whoever they belong to."""
        if not self._is_blind:
            self._unseen.add(answers)

    def parts(self, order: Sequence[Prompt]) -> Iterator[Sequence[Prompt]]:
        """The cases between two looks; fewer looks than there are checkpoints where many are in flight."""
        pipeline, plan = self._loaded.pipeline, self._loaded.plan
        usage = None if plan.calibration is None else plan.calibration.usage
        flight = math.ceil(pairs_in_flight(pipeline, plan.load, usage))
        least = max(WAVES * flight, pipeline.warmup) // self._loaded.suite.repeat
        start = 0
        for end in checkpoints(len(order)):
            if end - start >= least or end == len(order):
                yield order[start:end]
                start = end

    def is_certain(self, cases: Sequence[Prompt]) -> bool:
        """Whether the verdict is, these cases being answered.

        Says where the run stands. False for ever once an answer is missing:
        what is not known is not waited for, and not skipped either.
        """
        plan, total = self._loaded.plan, len(self._loaded.golden.prompts)
        self._is_blind = self._is_blind or self._unseen.complete(cases, plan.suite.repeat) < len(cases)
        if self._is_blind or len(self._done) + len(cases) == total:
            self._unseen = Parts()
            return False
        self._done += cases
        self._score(cases, self._unseen)
        for end in checkpoints(total):
            if self._watch.cases < end <= len(self._done):
                self._watch.take(self._unseen.of(self._done[self._watch.cases : end]))
                if decided(self._watch, partial(self._so_far, end), plan):
                    return True
        self._unseen.drop(cases)
        self._say(f"{len(self._done)}/{total} cases: {self._standing()}")
        return False

    def _score(self, cases: Sequence[Prompt], parts: Parts) -> None:
        parts.add((), self._scoring.of(cases, parts.of(cases).responses))

    def _so_far(self, end: int) -> Evidence:
        """Of so many cases, from the file: few looks need it, and then it is the last of them or near it."""
        cases, parts = self._done[:end], Parts(self._written())
        self._score(cases, parts)
        return parts.of(cases)

    def _standing(self) -> str:
        """The pooled difference so far with an interval that holds at every look; it decides nothing."""
        lead, alpha = self._watch.pooled(), self._loaded.plan.policy.alpha.rollback
        if not lead.size or not np.any(lead):
            return "no difference in quality so far"
        found = mean_sequence(lead, alpha=alpha, t_opt=max(1, len(self._loaded.golden.prompts) / 2))
        low, high = (points(max(-1.0, min(1.0, end))) for end in (found.low, found.high))
        every = f"{low} to {high} with {1 - alpha:.0%} confidence at every look"
        return f"quality {points(found.center)} points so far ({every})"
