"""Which cases are judged, by whom: known before a token is spent."""

from __future__ import annotations

from dataclasses import replace

from canary.assertions.binding import BUILD
from canary.errors import ConfigError
from canary.golden import GoldenSet, draw
from canary.judging import JudgePlan, judge_digest, judged_metrics, judged_specs
from canary.pipeline import Suite
from canary.release import LiveRelease, Release
from canary.run.resolve import live_release


def judges_of(suite: Suite, every: GoldenSet, drawn: GoldenSet, *, stage: str, seed: int) -> dict[str, JudgePlan]:
    """Every judged metric with the identity of its judge, whichever cases are drawn; none in stage `build`.

    Raises ConfigError where an assertion asks a judge and the suite names none.
    """
    asked = {} if stage == BUILD else judged_specs(suite.assertions, every.prompts)
    if not asked:
        return {}
    if suite.judge is None:
        metric, specs = next(iter(asked.items()))
        raise ConfigError(
            f"'judge' must be given in the suite: metric {metric!r} asks one (type {specs[0]['type']!r}; got nothing)"
        )
    release, votes = live_release(suite.judge.release).digest, suite.judge.votes
    chosen = judged_cases(suite, drawn, seed)
    of_case = [judged_metrics(suite.assertions, prompt) for prompt in drawn.prompts if prompt.id in chosen]
    return {
        metric: JudgePlan(
            digest=judge_digest(release, specs, votes), cases=sum(metric in metrics for metrics in of_case)
        )
        for metric, specs in asked.items()
    }


def partial_judge(suite: Suite, *sides: Release) -> tuple[str, ...]:
    """A warning where the judge is a model that it judges: models favour their own answers."""
    judge = None if suite.judge is None else suite.judge.release
    judged = [side.name for side in sides if isinstance(side, LiveRelease) and judge and side.model == judge.model]
    if judge is None or not judged:
        return ()
    return (f"judge {judge.name!r} is the model of {judged[0]!r}, whose answers it reads: models favour their own",)


def judged_cases(suite: Suite, golden: GoldenSet, seed: int) -> frozenset[str]:
    """The ids of the cases whose answers are judged: a stratified draw, or all that ask for it."""
    asking = tuple(prompt for prompt in golden.prompts if judged_metrics(suite.assertions, prompt))
    if not asking:
        return frozenset()
    cases = None if suite.judge is None else suite.judge.cases
    return frozenset(prompt.id for prompt in draw(replace(golden, prompts=asking), cases, seed).prompts)
