"""Verdicts on recorded outputs: no engine, no run directory, no configuration."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from canary.codec import evidence_digests
from canary.config import load_calibration, load_policy, load_suite
from canary.digest import digest_of
from canary.document import display
from canary.engines.replay import read_responses
from canary.errors import ConfigError, EvidenceError
from canary.evaluate import evaluate
from canary.golden import GoldenSet, load_golden_sets
from canary.pipeline import MOST_REPEATS, Suite
from canary.plan import Plan, ReleasePlan
from canary.policy import Policy
from canary.protocols import no_judge
from canary.records import Arm, Evidence, Prompt, Response, Score, Verdict
from canary.run.calibrate_judge import judge_file_of, with_agreement
from canary.run.drift import Kept, measure_drift
from canary.run.judge import Bench
from canary.run.judged import judged_cases, judges_of
from canary.run.judgements import Judgements
from canary.run.learned import learned_thresholds
from canary.run.progress import Screen
from canary.run.resolve import make_plan, with_noise
from canary.run.scoring import require_graded, score_responses


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict with what it was computed from."""

    verdict: Verdict
    evidence: Evidence
    plan: Plan
    judgements: Judgements | None = None
    """What a judge said, where it is not in the run's directory already."""


def compare_files(
    baseline: Path,
    candidate: Path,
    *,
    golden: Path | None = None,
    policy: Path | None = None,
    suite: Path | None = None,
    calibration: Path | None = None,
    err: TextIO | None = None,
) -> Judged:
    """The verdict on two files of recorded outputs.

    Without a golden set the lines must carry scores; the cases are then the
    ids of both files. `calibration` is the noise file of a pipeline over the
    same baseline, cases and assertions. Raises UsageError with every problem found.
    """
    rules = Policy() if policy is None else load_policy(policy)
    before, after = read_responses(baseline, Arm.BASELINE), read_responses(candidate, Arm.CANDIDATE)
    responses = (*before, *after)
    asked = _suite(suite, golden, responses)
    cases = load_golden_sets([Path(path) for path in asked.golden_sets], asked) if suite or golden else None
    cases = cases or cases_of(responses)
    require_known(responses, cases, {Arm.BASELINE: display(baseline), Arm.CANDIDATE: display(candidate)})
    carried = any(response.scores for response in responses)
    known = None if suite is None else judge_file_of(asked, suite)
    judges = {} if carried else with_agreement(judges_of(asked, cases, cases, stage="compare", seed=0), known)
    digests = evidence_digests(Evidence(prompts=(), responses=responses, scores=()))
    plan = make_plan(
        stage="compare",
        baseline=ReleasePlan(name=baseline.stem, digest=digests["baseline_responses"], release={"engine": "replay"}),
        candidate=ReleasePlan(name=candidate.stem, digest=digests["candidate_responses"], release={"engine": "replay"}),
        policy=rules,
        suite=asked,
        golden=cases,
    )
    plan = plan.model_copy(update={"judges": judges, "warnings": (*plan.warnings, *_same(before, after))})
    if calibration is not None:
        plan = with_noise(plan, load_calibration(calibration), display(calibration))
    if not carried:
        require_graded(cases, asked, "compare")
    learned = {} if carried else learned_thresholds(plan, cases.prompts)
    kept = Kept()
    judgements = Judgements.open(None, None)
    scores = _scored(cases, responses, asked, kept, judgements, err or sys.stderr, learned)
    drift = tuple(measure_drift(kept, responses, plan, cases.prompts))
    evidence = Evidence(prompts=cases.prompts, responses=responses, scores=scores, telemetry=drift)
    verdict = evaluate(evidence, plan)
    return Judged(verdict=verdict, evidence=evidence, plan=plan, judgements=judgements if judgements.known else None)


def _same(baseline: Sequence[Response], candidate: Sequence[Response]) -> tuple[str, ...]:
    """A warning where nothing at all tells the arms apart, as when one file was given twice."""
    if tuple(baseline) != tuple(replace(response, arm=Arm.BASELINE) for response in candidate):
        return ()
    return ("both arms have the very same answers, to the last time recorded: was one file given twice?",)


def _scored(
    cases: GoldenSet,
    responses: Sequence[Response],
    suite: Suite,
    kept: Kept,
    judgements: Judgements,
    err: TextIO,
    learned: Mapping[str, float],
) -> tuple[Score, ...]:
    return score_responses(
        cases.prompts,
        responses,
        suite,
        stage="compare",
        embed=kept.open,
        judge=no_judge if suite.judge is None else Bench(suite.judge, judgements, Screen(err)),
        judged=judged_cases(suite, cases, 0),
        learned=learned,
    )


def _suite(path: Path | None, golden: Path | None, responses: Sequence[Response]) -> Suite:
    """The suite as written, with the golden set and repeats of the command line."""
    if path is not None:
        suite = load_suite(path)
        return suite if golden is None else suite.model_copy(update={"golden_sets": (str(golden),)})
    if golden is None and not any(response.scores for response in responses):
        raise ConfigError("'--golden' must be given, or the lines must carry 'scores' (got neither)")
    repeat = 1 + max((response.repeat for response in responses), default=0)
    if repeat > MOST_REPEATS:
        raise EvidenceError(f"'repeat' must be below {MOST_REPEATS} (got {repeat - 1})")
    return Suite(golden_sets=(str(golden or "(none)"),), repeat=repeat)


def cases_of(responses: Sequence[Response]) -> GoldenSet:
    """A golden set of bare ids, for lines that bring their own scores."""
    ids = sorted({response.id for response in responses})
    prompts = tuple(
        Prompt(
            id=id_, digest=digest_of(id_), stratum="default", cluster=id_, vars={}, messages=None,
            expected=None, asserts=(), metadata={},
        )
        for id_ in ids
    )  # fmt: skip
    warning = "no golden set: nothing says which cases should be there, and there are no strata to protect"
    return GoldenSet(prompts=prompts, strata={"default": 1.0}, warnings=(warning,), sources=())


def require_known(responses: Sequence[Response], golden: GoldenSet, files: Mapping[Arm, str] = {}) -> None:
    """Raise EvidenceError for responses that answer no case of the golden set; `files` say where they stand."""
    known = {prompt.id for prompt in golden.prompts}
    for arm in Arm:
        strays = sorted({r.id for r in responses if r.arm is arm and r.id not in known})
        if strays:
            shown = ", ".join(repr(stray) for stray in strays[:5])
            more = f" and {len(strays) - 5} more" if len(strays) > 5 else ""
            raise EvidenceError(
                f"{files.get(arm, arm)}: every 'id' must be a case of the golden set (got {shown}{more})"
            )
