"""The verdict on two files of responses that were recorded while requests were routed at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from canary.assertions.recorded import recorded_scores
from canary.codec import evidence_digests
from canary.config import load_policy
from canary.engines.replay import read_traffic
from canary.errors import ConfigError, EvidenceError
from canary.evaluate import evaluate
from canary.golden import GoldenSet
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, TrafficPlan
from canary.policy import Policy
from canary.records import TRAFFIC_STAGE, Arm, Evidence, Response
from canary.run.recorded import Judged
from canary.run.resolve import make_plan


def compare_traffic_files(
    baseline: Path,
    candidate: Path,
    *,
    growing: bool,
    share: float | None,
    by: Literal["stratum", "tenant"],
    policy: Path | None,
) -> Judged:
    """The verdict on the traffic recorded so far, or on a closed window of it.

    `share` is the candidate's, where it was the same for every request and no
    line says it. Raises UsageError with every problem found.
    """
    rules = Policy() if policy is None else load_policy(policy)
    responses = _shared((*read_traffic(baseline, Arm.BASELINE), *read_traffic(candidate, Arm.CANDIDATE)), share)
    evidence = Evidence(prompts=(), responses=responses, scores=tuple(recorded_scores(responses)))
    digests = evidence_digests(evidence)
    plan = _plan(digests, baseline.stem, candidate.stem, rules)
    update = {
        "traffic": TrafficPlan(open=growing, by=by),
        "early_stopping": all(response.share is not None for response in responses),
    }
    plan = plan.model_copy(update=update)
    return Judged(verdict=evaluate(evidence, plan, digests), evidence=evidence, plan=plan)


def _shared(responses: tuple[Response, ...], share: float | None) -> tuple[Response, ...]:
    """Every response with its share, or none with one."""
    without = [response for response in responses if response.share is None]
    if share is not None:
        if not 0 < share < 1:
            raise ConfigError(f"'--share' must be above 0 and below 1 (got {share:g})")
        if len(without) < len(responses):
            raise ConfigError("'--share' must not be given where lines carry their own 'share'")
        return tuple(replace(response, share=share) for response in responses)
    if 0 < len(without) < len(responses):
        first = without[0]
        raise EvidenceError(
            f"{first.arm}: every line must carry 'share', or none ({len(without)} of {len(responses)} do not; the "
            f"first is 'id' {first.id!r})"
        )
    return responses


def _plan(digests: Mapping[str, str], baseline: str, candidate: str, policy: Policy) -> Plan:
    names = {Arm.BASELINE: baseline, Arm.CANDIDATE: candidate}
    sides = {
        arm: ReleasePlan(name=name, digest=digests[f"{arm}_responses"], release={"engine": "replay"})
        for arm, name in names.items()
    }
    return make_plan(
        stage=TRAFFIC_STAGE,
        baseline=sides[Arm.BASELINE],
        candidate=sides[Arm.CANDIDATE],
        policy=policy,
        suite=Suite(golden_sets=("(none)",)),
        golden=GoldenSet(prompts=(), strata={}, warnings=(), sources=()),
    )
