"""Responses in, scores out: recorded ones, or those of the suite's assertions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from canary.assertions import load_plugins
from canary.assertions.recorded import recorded_scores
from canary.assertions.scoring import score
from canary.models import open_embedder
from canary.plan import Suite
from canary.protocols import Embedder, Tools
from canary.records import Prompt, Response, Score


def score_responses(
    prompts: Sequence[Prompt],
    responses: Sequence[Response],
    suite: Suite,
    *,
    stage: str,
    embed: Callable[[], Embedder] = open_embedder,
) -> tuple[Score, ...]:
    """Recorded scores as soon as any response carries them, else assertions."""
    if any(response.scores for response in responses):
        return tuple(recorded_scores(responses))
    plugins = load_plugins(suite.plugins)
    tools = Tools(embed=embed)
    return tuple(score(prompts, responses, suite.assertions, tools, plugins, stage))
