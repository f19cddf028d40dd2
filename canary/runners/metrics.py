"""What a run shows among Ray's metrics, and so in its dashboard: pairs, errors and tokens.

Ray's exporter on each node puts `ray_` before a series' name and `_total`
after a counter's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from canary.located import printable
from canary.pace import Pace
from canary.pipeline import Pipeline
from canary.protocols import Answers, Pair, Write
from canary.records import Arm

EVERY_S = 1.0
"""Ray collects metrics every few seconds: telling it more often shows no more."""


@contextmanager
def metered(pipeline: Pipeline, write: Write) -> Iterator[Write]:
    """Yields the same `write`, which also counts; what goes wrong with that costs the metrics alone."""
    meters: list[_Meters] = []

    def attempt(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - whatever it is, it is not worth a run
            meters.clear()

    def counting(pair: Pair, answers: Answers) -> None:
        write(pair, answers)
        for each in tuple(meters):
            attempt(partial(each.add, pair, answers))

    attempt(lambda: meters.append(_Meters(printable(f"{pipeline.baseline.name} -> {pipeline.candidate.name}"))))
    try:
        yield counting
    finally:
        for each in tuple(meters):
            attempt(each.tell)


@dataclass
class _Meters:
    """Counts since Ray was told last, by arm."""

    run: str
    told: float = field(default_factory=time.monotonic)
    pairs: int = 0
    errors: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(Arm, 0))
    tokens: dict[Arm, int] = field(default_factory=lambda: dict.fromkeys(Arm, 0))

    def __post_init__(self) -> None:
        from ray.util.metrics import Counter, Gauge

        kept: dict[str, Any] = {"tag_keys": ("run",)}
        by_arm: dict[str, Any] = {"tag_keys": ("run", "arm")}
        self._pairs = Counter("canary_pairs", description="Pairs that both arms answered", **kept)
        self._errors = Counter("canary_errors", description="Answers that are errors", **by_arm)
        self._tokens = Counter("canary_output_tokens", description="Tokens of answers", **by_arm)
        self._speed = Gauge("canary_tokens_per_second", description="Tokens of answers, lately", **by_arm)
        self._pace = {arm: Pace(self.told) for arm in Arm}

    def add(self, pair: Pair, answers: Answers) -> None:
        """One more pair; where the baseline is asked first, alone, none of them is whole yet."""
        now = time.monotonic()
        self.pairs += pair.candidate is not None
        for arm, answer in zip(Arm, answers, strict=True):
            if answer is not None:
                self.errors[arm] += answer.error is not None
                self.tokens[arm] += answer.output_tokens or 0
                self._pace[arm].add(answer.output_tokens or 0, now)
        if now - self.told >= EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Hands over what was counted."""
        self.told = now = time.monotonic()
        _grow(self._pairs, self.pairs, {"run": self.run})
        self.pairs = 0
        for arm in Arm:
            tags = {"run": self.run, "arm": str(arm)}
            _grow(self._errors, self.errors[arm], tags)
            _grow(self._tokens, self.tokens[arm], tags)
            self._speed.set(self._pace[arm].per_second(now) or 0.0, tags)
            self.errors[arm] = self.tokens[arm] = 0


def _grow(counter: Any, by: int, tags: dict[str, str]) -> None:
    """Ray refuses to count nothing."""
    if by:
        counter.inc(by, tags)
