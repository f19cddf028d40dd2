"""Responses in, scores out: recorded ones, or those of the suite's assertions."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

from canary.assertions import load_plugins
from canary.assertions.binding import bind
from canary.assertions.recorded import recorded_scores
from canary.assertions.scoring import score
from canary.golden import GoldenSet
from canary.models import open_embedder
from canary.pipeline import Suite
from canary.protocols import Embedder, Judge, Tools, no_judge
from canary.records import Arm, Prompt, Response, Score


class Scoring:
    """The scores of a run's answers, each of which is scored once."""

    def __init__(
        self,
        suite: Suite,
        *,
        stage: str,
        embed: Callable[[], Embedder],
        judge: Judge = no_judge,
        judged: Container[str] | None = None,
        learned: Mapping[str, float],
    ) -> None:
        self._suite, self._stage, self._embed, self._judge, self._judged = suite, stage, embed, judge, judged
        self._learned = learned
        self._known: dict[tuple[str, Arm, int], list[Score]] = {}

    def of(self, prompts: Sequence[Prompt], responses: Sequence[Response]) -> tuple[Score, ...]:
        """Scores in the order of the responses, the same whether some were asked for before or not.

        Recorded scores are not kept: whether they count depends on every
        response there is.
        """
        if any(response.scores for response in responses):
            return self._score(prompts, responses)
        fresh = [response for response in responses if _key(response) not in self._known]
        if fresh:
            self._known.update((_key(response), []) for response in fresh)
            for made in self._score(prompts, fresh):
                self._known[_key(made)].append(made)
        return tuple(made for response in responses for made in self._known[_key(response)])

    def held_to(self, learned: Mapping[str, float]) -> Scoring:
        """The same with other learned thresholds, and nothing scored yet."""
        return Scoring(
            self._suite, stage=self._stage, embed=self._embed, judge=self._judge, judged=self._judged, learned=learned
        )

    def _score(self, prompts: Sequence[Prompt], responses: Sequence[Response]) -> tuple[Score, ...]:
        return score_responses(
            prompts,
            responses,
            self._suite,
            stage=self._stage,
            embed=self._embed,
            judge=self._judge,
            judged=self._judged,
            learned=self._learned,
        )


def _key(record: Response | Score) -> tuple[str, Arm, int]:
    return record.id, record.arm, record.repeat


def require_graded(golden: GoldenSet, suite: Suite, stage: str) -> None:
    """Raise ConfigError or GoldenSetError, with file and line, for cases that the suite's assertions cannot grade."""
    bind(golden.prompts, suite.assertions, load_plugins(suite.plugins), stage, places=golden.places)


def score_responses(
    prompts: Sequence[Prompt],
    responses: Sequence[Response],
    suite: Suite,
    *,
    stage: str,
    embed: Callable[[], Embedder] = open_embedder,
    judge: Judge = no_judge,
    judged: Container[str] | None = None,
    learned: Mapping[str, float],
) -> tuple[Score, ...]:
    """Recorded scores as soon as any response carries them, else assertions.

    `judge` is asked about the cases in `judged`; None is all of them.
    `learned` are the thresholds that were measured, by metric.
    """
    if any(response.scores for response in responses):
        return tuple(recorded_scores(responses))
    plugins = load_plugins(suite.plugins)
    tools = Tools(embed=embed, judge=judge, learned=learned)
    return tuple(score(prompts, responses, suite.assertions, tools, plugins, stage, judged))
