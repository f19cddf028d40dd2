"""How both arms do while they are asked, in the words of a line of progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from canary.pace import Pace, duration
from canary.protocols import Answers
from canary.records import Arm
from canary.run.progress import Tracked


@dataclass(slots=True)
class Tally:
    """Counts what the arms answer."""

    track: Tracked
    comes_up: bool = False
    """Whether there are engines to wait for."""
    _asked: float = field(init=False)
    _tokens: dict[Arm, Pace] = field(default_factory=dict)
    _errors: dict[Arm, int] = field(default_factory=dict)
    _idle: float = 0.0
    """Seconds in which nobody was asked anything: no arm is slower for them."""

    def __post_init__(self) -> None:
        """Time counts from here."""
        self._asked = self.track.clock()

    def add(self, answers: Answers) -> None:
        """One more pair."""
        now = self.track.clock() - self._idle
        if not self._tokens:
            took = max((answer.total_s or 0.0 for answer in answers if answer is not None), default=0.0)
            self._ready(max(self._asked, now - took))
        for arm, answer in zip(Arm, answers, strict=True):
            if answer is not None:
                self._tokens[arm].add(answer.output_tokens or 0, now)
                self._errors[arm] = self._errors.get(arm, 0) + (answer.error is not None)
        self.track.advance(said="; ".join(self._of(arm, now) for arm in self._errors))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While answers are looked at."""
        began = self.track.clock()
        yield
        self._idle += self.track.clock() - began

    def _ready(self, began: float) -> None:
        """The first pair was sent as long ago as it took: from then on the pace counts."""
        self._tokens = {arm: Pace(began) for arm in Arm}
        self.track.pace = Pace(began + self._idle)
        if self.comes_up:
            self.track.screen.say(f"up and warmed up after {duration(began - self._asked)}")

    def _of(self, arm: Arm, now: float) -> str:
        errors, rate = self._errors[arm], self._tokens[arm].per_second(now)
        speed = f"{rate:,.0f} tokens/s, " if rate else ""
        return f"{arm} {speed}{errors} error{'' if errors == 1 else 's'}"
