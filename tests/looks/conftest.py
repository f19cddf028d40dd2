"""Runs that may end before their end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from canary.evaluate import evaluate
from canary.order import visiting_order
from canary.plan import Plan
from canary.records import (
    Arm,
    ErrorKind,
    Evidence,
    Failure,
    Looks,
    Prompt,
    Response,
    Scale,
    Score,
    Signal,
    Verdict,
)
from tests.signals.conftest import make_plan, make_prompts

Passes = Callable[[int, Prompt], float | None]
"""The score of the n-th case asked; None abstains."""


def always(_: int, __: Prompt) -> float | None:
    """Every case passes."""
    return 1.0


def loses(stratum: str, *, every: int) -> Passes:
    """Every so-manieth case asked fails, in one stratum."""
    return lambda number, prompt: float(prompt.stratum != stratum or number % (2 * every) >= 2)


@dataclass
class Run:
    """A run of live releases over two strata of equal size."""

    candidate: Passes = always
    baseline: Passes = always
    cases: int = 300
    repeat: int = 1
    scale: Scale = Scale.PASS_FAIL
    policy: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of every response."""
    errors: Callable[[int], bool] = lambda _: False
    """Whether the candidate fails on the n-th case asked."""
    early: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """What it obeys."""
        prompts = make_prompts([*"ab"] * (self.cases // 2), None)
        return make_plan(prompts, self.policy, self.repeat, early_stopping=self.early, **self.more)

    @cached_property
    def order(self) -> tuple[Prompt, ...]:
        """Its cases as they are asked."""
        return visiting_order(make_prompts([*"ab"] * (self.cases // 2), None), 0)

    def evidence(self, asked: Sequence[int] | None = None) -> Evidence:
        """All of it, or that of so many numbers in the order of asking."""
        responses: list[Response] = []
        scores: list[Score] = []
        for number in range(self.cases) if asked is None else asked:
            prompt = self.order[number]
            for arm, passes in zip(Arm, (self.baseline, self.candidate), strict=True):
                fails = arm is Arm.CANDIDATE and self.errors(number)
                error = Failure(kind=ErrorKind.SERVER, message="down") if fails else None
                value = 0.0 if fails else passes(number, prompt)
                for k in range(self.repeat):
                    answer = Response(id=prompt.id, arm=arm, output="", repeat=k, error=error, **self.fields)
                    responses.append(answer)
                    scores.append(
                        Score(
                            id=prompt.id, arm=arm, repeat=k, metric="pass", scale=self.scale,
                            value=value, passed=None if value is None else value > 0,
                        )
                    )  # fmt: skip
        return Evidence(prompts=self.order, responses=tuple(responses), scores=tuple(scores))

    def verdict(self, asked: Sequence[int] | None = None) -> Verdict:
        """The verdict on all of it, or on what was asked so far."""
        return evaluate(self.evidence(asked), self.plan)


def looks_of(verdict: Verdict) -> Looks:
    """The verdict's looks."""
    assert verdict.looks is not None
    return verdict.looks


def find(verdict: Verdict, name: str) -> Signal:
    """One signal."""
    return next(signal for signal in verdict.signals if signal.name == name)


LOST = Run(candidate=loses("a", every=2))
"""Half of stratum a is lost: 34 of its cases make it certain, at the look after 75."""
