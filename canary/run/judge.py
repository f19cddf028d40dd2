"""The suite's judge, asked: which questions, at what expense, and what it said.

Nothing here raises for the judge's sake: whatever fails is an abstention with
its reason, and the answers of the two releases are never at risk.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from canary.assertions.excerpt import shorten
from canary.assertions.question import hear, schema
from canary.engines import open_engine
from canary.pipeline import Judge
from canary.protocols import Generate, Opinion, Question, Request
from canary.records import Arm, ErrorKind, Failure, Response
from canary.release import OpenAIRelease
from canary.run.judgements import Judgement, Judgements, Place
from canary.run.progress import Screen, Tracked
from canary.run.resolve import live_release
from canary.runners.drive import ask

CHARACTERS_A_TOKEN = 4
"""English text; what a question is reserved at until its usage is known."""
PATIENCE = 10
"""After so many failures in a row a judge is down, and is not asked again."""
_DOWN = frozenset({ErrorKind.SERVER, ErrorKind.THROTTLED, ErrorKind.CLIENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One question, once more."""

    question: Question
    number: int
    place: Place


@dataclass
class Bench:
    """A judge with what it has said already; call it with questions."""

    judge: Judge
    judgements: Judgements
    screen: Screen

    @cached_property
    def digest(self) -> str:
        """Identity of the judge's release."""
        return live_release(self.judge.release).digest

    def __call__(self, questions: Sequence[Question]) -> Mapping[str, Sequence[Opinion]]:
        """All votes of each question, by its key; asks only what nobody has answered yet."""
        votes = {question.key: list(self._votes(question)) for question in questions}
        lacking = [vote for several in votes.values() for vote in several if not self._reuse(vote)]
        refused = self._ask(lacking) if lacking else {}
        return {key: [self._opinion(vote, refused) for vote in several] for key, several in votes.items()}

    def _votes(self, question: Question) -> Iterator[Vote]:
        for number in range(question.votes or self.judge.votes):
            yield Vote(question=question, number=number, place=(self.digest, question.key, number))

    def _reuse(self, vote: Vote) -> bool:
        """Whether the vote was cast before, in this run or an earlier one; a failure is no vote."""
        known = self.judgements.known.get(vote.place)
        if known is not None:
            return known.error is None
        cached = self.judgements.cached.get(vote.place)
        if cached is None or cached.error is not None:
            return False
        self.judgements.keep(replace(cached, cached=True), reusable=False)
        return True

    def _ask(self, votes: Sequence[Vote]) -> dict[Place, str]:
        """Why each vote that was not cast was not, after all that could be were."""
        self.screen.say(f"judging: {len(votes)} questions to {self.judge.release.name!r}")
        with self.screen.track("questions", len(votes)) as track:
            session = _Session(self.judge, self.judgements, track)
            _run(session.ask_all(votes))
        if session.refused:
            why = next(iter(session.refused.values()))
            self.screen.say(f"canary: {len(session.refused)} of {len(votes)} questions were not judged: {why}")
        return session.refused

    def _opinion(self, vote: Vote, refused: Mapping[Place, str]) -> Opinion:
        said = self.judgements.known.get(vote.place)
        if said is None:
            return Opinion(verdict=None, reason=refused.get(vote.place, "the judge was not asked"))
        if said.error is not None:
            return Opinion(verdict=None, reason=shorten(f"the judge failed: {said.error}"))
        return hear(vote.question, said.output)


@dataclass(slots=True)
class _Session:
    """One conversation with a judge that may be slow, dear or down."""

    judge: Judge
    judgements: Judgements
    track: Tracked
    refused: dict[Place, str] = field(default_factory=dict)
    stopped: str = ""
    """Why nothing more is asked."""
    _failures: int = 0
    _reserved: int = 0
    """Tokens of the questions in flight."""

    async def ask_all(self, votes: Sequence[Vote]) -> None:
        """Asks every vote, so many at once; never raises."""
        source = iter(votes)
        try:
            async with open_engine(self.judge.release, Arm.CANDIDATE) as generate:
                await asyncio.gather(*(self._work(generate, source) for _ in range(self.judge.concurrency)))
        except Exception as error:  # noqa: BLE001 - a judge that cannot be opened is an abstention
            self._stop(error)
        self.refused |= {vote.place: self.stopped or "the judge was not asked" for vote in source}

    async def _work(self, generate: Generate, source: Iterator[Vote]) -> None:
        for vote in source:
            self.track.advance()
            if self.stopped or self._exceeds(vote):
                self.refused[vote.place] = self.stopped or self._spent()
                continue
            tokens = self._tokens(vote)
            self._reserved += tokens
            try:
                response = await ask(generate, self._request(vote))
                self._keep(vote, response)
            except Exception as error:  # noqa: BLE001 - ours or the endpoint's, it costs no more than this vote
                self._stop(error)
                self.refused[vote.place] = self.stopped
            finally:
                self._reserved -= tokens

    def _stop(self, error: Exception) -> None:
        said = str(error).replace(f"{Arm.CANDIDATE} '", "judge '")
        self.stopped = self.stopped or shorten(f"the judge cannot be asked: {said}")

    def _request(self, vote: Vote) -> Request:
        release, turns = self.judge.release, vote.question.messages
        is_text = isinstance(release, OpenAIRelease) and release.api == "completions"
        seed = int(hashlib.sha256("/".join(map(str, vote.place)).encode()).hexdigest()[:8], 16) >> 1
        return Request(
            id=vote.question.key[:16],
            arm=Arm.CANDIDATE,
            repeat=vote.number,
            messages=None if is_text else turns,
            text="\n\n".join(turn["content"] for turn in turns) if is_text else None,
            seed=seed if release.sampling.seed is None else release.sampling.seed + vote.number,
            schema=schema(vote.question.verdicts),
        )

    def _keep(self, vote: Vote, response: Response | None) -> None:
        failure = Failure(kind=ErrorKind.SERVER, message="nothing was answered") if response is None else response.error
        error = None if failure is None else f"{failure.kind}: {failure.message}"
        self._failures = self._failures + 1 if failure is not None and failure.kind in _DOWN else 0
        if self._failures >= PATIENCE and not self.stopped:
            self.stopped = shorten(f"the judge failed {self._failures} times in a row, last: {error}")
        made = self._judgement(vote, response, error)
        verdict = hear(vote.question, made.output).verdict
        self.judgements.keep(made, reusable=error is None and verdict is not None)

    def _judgement(self, vote: Vote, response: Response | None, error: str | None) -> Judgement:
        said = response or Response(id="", arm=Arm.CANDIDATE, output="")
        judge, question, number = vote.place
        counted = (
            None if said.input_tokens is None or said.output_tokens is None else said.input_tokens + said.output_tokens
        )
        tokens = self._tokens(vote) if counted is None else counted
        return Judgement(
            judge=judge,
            question=question,
            vote=number,
            output=said.output,
            error=error,
            input_tokens=said.input_tokens,
            output_tokens=said.output_tokens,
            cost_usd=said.cost_usd,
            charged_tokens=tokens,
            charged_usd=self._usd(tokens) if said.cost_usd is None else said.cost_usd,
            seconds=said.total_s,
            tries=max(1, len(said.attempts)),
        )

    def _tokens(self, vote: Vote) -> int:
        """What a vote takes at most, roughly: its words, and the longest verdict."""
        return tokens_of(vote.question) + self.judge.release.sampling.max_tokens

    def _usd(self, tokens: int) -> float:
        """What so many tokens cost at most; 0 where nothing has a price."""
        price = self.judge.release.token_price
        return 0.0 if price is None else tokens * max(price.input_per_million, price.output_per_million) / 1e6

    def _exceeds(self, vote: Vote) -> bool:
        """Whether the vote, with all in flight, could go beyond the budget."""
        tokens = self._reserved + self._tokens(vote)
        too_long = self.judge.max_tokens is not None and self.judgements.tokens + tokens > self.judge.max_tokens
        too_dear = self.judge.max_usd is not None and self.judgements.usd + self._usd(tokens) > self.judge.max_usd
        return too_long or too_dear

    def _spent(self) -> str:
        caps = (
            None if self.judge.max_tokens is None else f"max_tokens: {self.judge.max_tokens}",
            None if self.judge.max_usd is None else f"max_usd: {self.judge.max_usd:g}",
        )
        return f"the judge's budget of this run is spent ({', '.join(cap for cap in caps if cap)})"


def _run(conversation: Coroutine[Any, Any, None]) -> None:
    """To its end, in a loop of its own: a look asks in a pause of the run's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(conversation)
        return
    with ThreadPoolExecutor(1) as alone:
        alone.submit(asyncio.run, conversation).result()


def tokens_of(question: Question) -> int:
    """What a question takes to read, roughly."""
    return sum(len(turn["content"]) for turn in question.messages) // CHARACTERS_A_TOKEN + 1
