"""Who decides a judged metric, and whether it may: the pure half of judging.

A judge is a model that reads an answer and says yes or no. Which one it is,
what it is asked and in which words is its identity: a calibration counts for
that identity alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from canary.agreement import JudgeCalibration
from canary.digest import canonical, digest_of
from canary.policy import Policy
from canary.records import POOLED, Prompt, Tier

PROMPT_VERSION = 2
"""Of the words in `assertions.question`; raise it with any change to them."""

JUDGED = frozenset({"llm-rubric", "g-eval", "factuality", "closed-qa", "select-best"})
"""Types of assertion that ask a judge."""

State = Literal["uncalibrated", "stale", "unfit", "calibrated"]


class JudgePlan(BaseModel):
    """One metric that a judge decides, as resolved."""

    digest: str
    """Identity of the judge of this metric: `judge_digest`."""
    cases: int
    """Cases judged in this run."""
    calibration: JudgeCalibration | None = None
    """What was found beside the suite; of another judge it counts for nothing."""

    def state(self, stratum: str = POOLED) -> State:
        """Only a calibrated judge may decide, and only where it was."""
        if self.calibration is None:
            return "uncalibrated"
        if self.calibration.judge != self.digest:
            return "stale"
        found = self.calibration.of(stratum)
        if found is None:
            return "uncalibrated"
        return "calibrated" if found.fit else "unfit"


def judge_digest(release: str, specs: Iterable[Mapping[str, Any]], votes: int) -> str:
    """Identity of what decides one metric: who is asked, what, how often, in which words.

    `release` is the digest of the judge's release, `specs` the assertions of
    the metric as written, `votes` how often each is asked unless it says.
    """
    asked = sorted({canonical({"votes": votes} | {k: v for k, v in spec.items() if k != "metric"}) for spec in specs})
    return digest_of({"prompt": PROMPT_VERSION, "release": release, "asked": asked})


def is_judged(spec: Mapping[str, Any]) -> bool:
    """Whether an assertion, as written, asks a judge."""
    return str(spec.get("type")).removeprefix("not-") in JUDGED


def metric_of(spec: Mapping[str, Any]) -> str:
    """The metric that an assertion, as written, gives."""
    return str(spec.get("metric", spec.get("type")))


def judged_specs(
    defaults: Sequence[Mapping[str, Any]], prompts: Iterable[Prompt]
) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Every assertion that asks a judge, by its metric."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for spec in (*defaults, *(spec for prompt in prompts for spec in prompt.asserts)):
        if is_judged(spec):
            found.setdefault(metric_of(spec), []).append(spec)
    return {metric: tuple(specs) for metric, specs in sorted(found.items())}


def judged_metrics(defaults: Sequence[Mapping[str, Any]], prompt: Prompt) -> frozenset[str]:
    """The metrics of one case that ask a judge."""
    return frozenset(metric_of(spec) for spec in (*defaults, *prompt.asserts) if is_judged(spec))


def is_blocking(metric: str, policy: Policy) -> bool:
    """Whether the policy has a judged metric decide: by default none does."""
    rule = policy.quality.metrics.get(metric)
    return rule is not None and rule.tier is Tier.BLOCKING


def graded_by_judge_alone(prompt: Prompt, defaults: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The judged metrics of a case that nothing else grades; else none."""
    specs = (*defaults, *prompt.asserts)
    return tuple(sorted({metric_of(spec) for spec in specs})) if specs and all(map(is_judged, specs)) else ()
