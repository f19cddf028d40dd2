"""Is the verdict certain before the run's end, at no cost to its promises?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

from canary.compare import compare
from canary.judging import is_blocking
from canary.looks.watch import Watch
from canary.order import checkpoints, visiting_order
from canary.plan import Plan
from canary.records import Arm, Evidence, Looks, Prompt, Response, Score, Status, Tier
from canary.signals import measure, read_all
from canary.signals.levels import final_levels, look_levels
from canary.signals.reading import Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why a run need not go on."""

    cases: int
    """How many cases of the order it rests on."""
    status: Status
    """FAIL where harm is certain, PASS where every signal is inside its margin."""
    proofs: Mapping[str, Proof]
    """By signal, the most telling first."""


def decided(watch: Watch, so_far: Callable[[], Evidence], plan: Plan) -> Stop | None:
    """Whether the cases taken so far make the verdict certain; `so_far` gives their evidence.

    Nothing is certain of a signal whose evidence is missing: what an
    e-process says must be confirmed by the signal's own reading. A promotion
    needs a proof of every blocking signal there is, and latency, cost and
    floors never have one before the end, nor has a guardrail, whose classes are
    known by what they reject: where one of these is seen, no promotion comes
    early, nor is asked for at a later look. Where a person must sign off, it
    waits.
    """
    if harmed := watch.harmed():
        comparisons = [comparison for comparison in compare(so_far(), plan) if comparison.name in harmed]
        measured = {
            reading.name
            for reading in read_all(comparisons, plan)
            if reading.is_measured and reading.tier is Tier.BLOCKING
        }
        if proofs := {name: proof for name, proof in harmed.items() if name in measured}:
            return Stop(cases=watch.cases, status=Status.FAIL, proofs=proofs)
    elif watch.can_promote and (safe := watch.safe()):
        evidence = so_far()
        is_guarded = any(response.guardrail is not None for response in evidence.responses)
        blocking = [s for s in measure(compare(evidence, plan), plan, safe) if s.tier is Tier.BLOCKING]
        watch.can_promote = not is_guarded and safe.keys() >= {signal.name for signal in blocking}
        if watch.can_promote and blocking and all(signal.status is Status.PASS for signal in blocking):
            return Stop(cases=watch.cases, status=Status.PASS, proofs=safe)
    return None


def first_stop(evidence: Evidence, plan: Plan) -> tuple[Stop | None, int]:
    """The first look at which it was certain, and how many cases the last look saw.

    Only cases whose predecessors in the order are all answered count, so that
    no answer that came early is looked at before its turn. Where cases share
    clusters one says what the next will be, so nothing is looked at.
    """
    if not has_looks(plan) or len({prompt.cluster for prompt in evidence.prompts}) < len(evidence.prompts):
        return None, 0
    order = visiting_order(evidence.prompts, plan.seed)
    parts, watch = Parts(evidence.responses, evidence.scores), Watch(plan)
    known = parts.complete(order, plan.suite.repeat)
    for end in checkpoints(len(order)):
        if end > known:
            break
        watch.take(parts.of(order[watch.cases : end]))
        if stop := decided(watch, partial(parts.of, order[:end]), plan):
            return stop, watch.cases
    return None, watch.cases


def upto(evidence: Evidence, cases: int, plan: Plan) -> Evidence:
    """The evidence of so many cases of the order, as if no other had been asked for."""
    taken = visiting_order(evidence.prompts, plan.seed)[:cases]
    known = {prompt.id for prompt in taken}
    return replace(
        Parts(evidence.responses, evidence.scores).of(taken),
        telemetry=evidence.telemetry,
        labels=tuple(label for label in evidence.labels if label.id in known),
        observations=evidence.observations,
    )


class Parts:
    """Evidence by case."""

    def __init__(self, responses: Iterable[Response] = (), scores: Iterable[Score] = ()) -> None:
        self._responses: dict[str, list[Response]] = {}
        self._scores: dict[str, list[Score]] = {}
        self.add(responses, scores)

    def add(self, responses: Iterable[Response], scores: Iterable[Score] = ()) -> None:
        """More answers, and more scores."""
        for response in responses:
            self._responses.setdefault(response.id, []).append(response)
        for score in scores:
            self._scores.setdefault(score.id, []).append(score)

    def drop(self, prompts: Iterable[Prompt]) -> None:
        """Forgets some cases."""
        for prompt in prompts:
            self._responses.pop(prompt.id, None)
            self._scores.pop(prompt.id, None)

    def of(self, prompts: Sequence[Prompt]) -> Evidence:
        """What is known of some cases."""
        return Evidence(
            prompts=tuple(prompts),
            responses=tuple(response for prompt in prompts for response in self._responses.get(prompt.id, ())),
            scores=tuple(score for prompt in prompts for score in self._scores.get(prompt.id, ())),
        )

    def complete(self, order: Sequence[Prompt], repeat: int) -> int:
        """How many cases from the first on have every answer of both arms."""
        wanted = {(arm, k) for arm in Arm for k in range(repeat)}
        for count, prompt in enumerate(order):
            if {(answer.arm, answer.repeat) for answer in self._responses.get(prompt.id, ())} < wanted:
                return count
        return len(order)


def described(stop: Stop | None, seen: int, evidence: Evidence, plan: Plan) -> Looks | None:
    """The looks of a run, for its verdict; None where there are none."""
    if not has_looks(plan):
        return None
    name, proof = next(iter(stop.proofs.items())) if stop else (None, None)
    cases, asked = len(evidence.prompts), len({response.id for response in evidence.responses})
    times = [response.total_s for response in evidence.responses if response.total_s is not None]
    left = (cases - asked) * plan.suite.repeat * len(Arm)
    return Looks(
        alpha=look_levels(plan).model_dump(),
        final=final_levels(plan).model_dump(),
        cases=cases,
        seen=seen,
        stopped_at=stop.cases if stop else None,
        signal=name if stop and stop.status is Status.FAIL else None,
        e_value=math.exp(min(proof.log_e, 700.0)) if proof else None,
        saved=(cases - asked) / cases if stop else None,
        saved_s=fmean(times) * left if stop and times else None,
    )


def has_looks(plan: Plan) -> bool:
    """Whether a plan is looked at before its end.

    With one arm there is nothing to look at, and a judge's errors and people's
    labels are reckoned with at the end only.
    """
    judged = any(is_blocking(metric, plan.policy) for metric in plan.judges)
    return plan.early_stopping and plan.stage != "build" and not judged
