"""The seams: what an assertion, engine, runner or reporter must be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from canary.pipeline import Pipeline
from canary.plan import Plan
from canary.records import Arm, Evidence, Observation, Prompt, Response, Scale, Verdict
from canary.release import LiveRelease, ReplayRelease

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """What an assertion says of one response."""

    value: float | None
    """Higher is better; None abstains."""
    passed: bool | None
    reason: str


class Assertion(Protocol):
    """A frozen dataclass whose fields are its YAML keys."""

    @property
    def metric(self) -> str:
        """Name of the score it gives."""
        ...

    @property
    def scale(self) -> Scale:
        """Kind of the value, declared once for all responses."""
        ...

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]], tools: Tools) -> list[Grade]:
        """One grade per pair, in order; never called on an errored response."""
        ...


class Embedder(Protocol):
    """Texts in, unit vectors out; equal texts give equal vectors."""

    name: str

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (texts, dimensions)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a judge is asked about one answer; it never learns which arm gave it."""

    key: str
    """Digest of all that is asked: equal questions have one answer."""
    messages: tuple[Mapping[str, str], ...]
    """The turns, with everything quoted inside its boundary."""
    verdicts: tuple[str, ...]
    """The only answers there are."""
    votes: int | None
    """Times it is asked; None leaves it to the suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One vote of a judge."""

    verdict: str | None
    """One of the question's verdicts; None abstains."""
    reason: str


Judge = Callable[[Sequence[Question]], Mapping[str, Sequence[Opinion]]]
"""Answers questions, all votes of each, by its key; whatever fails is an abstention."""


def no_judge(questions: Sequence[Question]) -> Mapping[str, Sequence[Opinion]]:
    """The judge of a suite that names none: it abstains."""
    nobody = (Opinion(verdict=None, reason="the suite names no judge: add 'judge' to it"),)
    return dict.fromkeys((question.key for question in questions), nobody)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What assertions may use of the world, opened on first use."""

    embed: Callable[[], Embedder]
    """Returns the embedder; raises MissingExtra where it is not installed."""
    judge: Judge = no_judge
    """Asks the suite's judge."""
    learned: Mapping[str, float] = field(default_factory=dict)
    """Thresholds that a calibration measured, by metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One prompt rendered for one arm."""

    id: str
    arm: Arm
    repeat: int
    messages: tuple[Mapping[str, Any], ...] | None
    """Chat turns, or None where `text` is a bare completion prompt."""
    text: str | None
    seed: int
    tools: tuple[Mapping[str, Any], ...] | None = None
    schema: Mapping[str, Any] | None = None
    """JSON schema that the answer must obey, where the server can enforce one."""


Generate = Callable[[Request], Awaitable[Response | None]]
"""Answers one request; a fault is `Response.error`, None is "nothing recorded"."""


@runtime_checkable
class Observable(Protocol):
    """A `Generate` whose servers also say how they are."""

    def __call__(self, request: Request) -> Awaitable[Response | None]:
        """See `Generate`."""
        ...

    async def observe(self) -> Mapping[int, Mapping[str, float]]:
        """By replica, the `values` of an `Observation`, empty where it did not answer; may fail as it likes.

        `started_s` is said each time: an answer may be lost on its way.
        """
        ...


class Engine(Protocol):
    """Opens a release: `async with engine(release, arm) as generate`."""

    def __call__(self, release: LiveRelease | ReplayRelease, arm: Arm) -> AbstractAsyncContextManager[Generate]:
        """Raises EngineError when the release cannot answer at all."""
        ...


class SharedEngine(Protocol):
    """Opens two releases over one model: each request is answered as its own arm's release says."""

    def __call__(self, releases: Mapping[Arm, Any]) -> AbstractAsyncContextManager[Generate]:
        """Raises EngineError when the model cannot answer at all."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both arms' requests for one prompt, once; `first` is sent first."""

    baseline: Request | None
    """None where the candidate is asked alone: by a stage, or after the baseline."""
    candidate: Request | None
    """None where the baseline is asked alone, before the candidate."""
    first: Arm
    gap_s: float | None = None
    """Seconds after the pair before it that it is due in an open loop; None is as soon as there is a place."""

    @property
    def key(self) -> tuple[str, int]:
        """Case id and repeat."""
        request = self.candidate or self.baseline
        if request is None:
            raise ValueError("a pair asks at least one arm")
        return request.id, request.repeat


Answers = tuple[Response | None, Response | None]
"""Baseline's and candidate's answer to one pair."""


Write = Callable[[Pair, Answers], None]
"""Takes both arms' answers to one pair."""
Note = Callable[[Sequence[Observation]], None]
"""Takes what was seen at one moment, both arms' together."""


def unnoted(seen: Sequence[Observation]) -> None:
    """For those who do not care how the servers are."""


class Runner(Protocol):
    """Drives both arms over the pairs, interleaved in time."""

    def __call__(self, pipeline: Pipeline, pairs: Iterable[Pair | None], write: Write, note: Note) -> None:
        """Calls `write` once per pair, from one thread, when both arms are done.

        Meanwhile `note` is called about once a second, from that thread too,
        where an arm has servers that can be observed; of one engine for both
        arms (`Pipeline.shares_engine`) once, as nobody's own.

        None among the pairs is a pause: what follows is not drawn before every
        pair that came before it is written. The clock that pairs with a `gap_s`
        are due by stands still meanwhile; their answers say when they were due.

        Warms both arms up first; those answers are not written. Raises
        EngineError when an arm cannot be brought up or says that we are at
        fault (a client error).
        """
        ...


class Reporter(Protocol):
    """Shows a verdict; may fail without changing it."""

    def __call__(self, verdict: Verdict, evidence: Evidence, plan: Plan) -> str:
        """The report's text."""
        ...


class Publisher(Protocol):
    """Takes a sealed run out into the world; may fail without changing its verdict."""

    def __call__(self, run: Path, verdict: Verdict, evidence: Evidence, plan: Plan) -> Iterable[str]:
        """Sentences for whoever watches, such as where it was published.

        `run` is the run directory as sealed; nothing in it may be changed.
        """
        ...
