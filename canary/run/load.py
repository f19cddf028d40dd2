"""A pipeline file in, everything it names read and resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from canary.assertions import load_plugins
from canary.codec import evidence_digests
from canary.config import load_calibration, load_pipeline, load_policy, load_suite
from canary.document import display
from canary.engines.replay import read_responses
from canary.errors import ConfigError, EvidenceError
from canary.golden import GoldenSet, draw, load_golden_sets
from canary.judging import is_blocking
from canary.labelled import LabelRow
from canary.pipeline import Pipeline, Suite
from canary.plan import Plan, ReleasePlan
from canary.policy import Policy
from canary.records import Arm, Evidence, Response
from canary.release import LiveRelease, Release, ReplayRelease
from canary.run.arrivals import arrivals
from canary.run.calibrate_judge import judge_file_of, with_agreement
from canary.run.judged import judges_of, partial_judge
from canary.run.labels import read_labels, require_cases, require_metrics
from canary.run.learned import learned_thresholds
from canary.run.recorded import require_known
from canary.run.render import render
from canary.run.resolve import live_release, make_plan, with_noise
from canary.run.scoring import require_graded
from canary.run.weights import Pinned, pinned_pipeline, pinned_suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A pipeline with what it names."""

    pipeline: Pipeline
    suite: Suite
    golden: GoldenSet
    plan: Plan
    labels: tuple[LabelRow, ...] = ()
    """What people said of this run's answers."""
    gaps: tuple[float, ...] = ()
    """Seconds before each arrival of an open loop, in the visiting order; empty where the loop is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a command line says beside, or in place of, the pipeline."""

    early_stop: bool = True
    """Lets a run end before all is asked, where that is possible."""
    labels: Path | None = None
    """What people said of the run's answers."""
    policy: Path | None = None
    base_ref: str | None = None
    """The commit whose rules count."""

    def on(self, pipeline: Pipeline) -> Pipeline:
        """The pipeline with the files named here in place of its own."""
        named = {"labels": self.labels, "policy": self.policy}
        return pipeline.model_copy(update={key: str(path.resolve()) for key, path in named.items() if path is not None})


def load(path: Path, *, stage: str, calibration: Path | None = None, overrides: Overrides = Overrides()) -> Loaded:
    """Read and resolve a pipeline for one stage, with the noise measured for it.

    `calibration` names another file than the pipeline does. Raises UsageError
    with every problem of a file.
    """
    pipeline = overrides.on(load_pipeline(path))
    return gather(pipeline, path, stage=stage, calibration=calibration, early_stop=overrides.early_stop)


def gather(
    pipeline: Pipeline, path: Path, *, stage: str, calibration: Path | None = None, early_stop: bool = True
) -> Loaded:
    """What `load` does with a pipeline that has been read; `path` is where it stands."""
    loaded = resolve(pipeline, path, stage=stage)
    if pipeline.is_live or not any(map(_may_bring_scores, pipeline.releases.values())):
        # what cannot be graded must not be paid for, nor waited for
        require_graded(loaded.golden, loaded.suite, stage)
    if early_stop and stage != "build" and not unstoppable(loaded):
        loaded = replace(loaded, plan=loaded.plan.model_copy(update={"early_stopping": True}))
    if pipeline.labels is not None:
        loaded = replace(loaded, labels=_labels(Path(pipeline.labels), loaded))
    where = calibration or calibration_of(pipeline, path)
    if stage != "build" and (calibration or pipeline.calibration or where.exists()):
        loaded = replace(loaded, plan=with_noise(loaded.plan, load_calibration(where), display(where)))
    learned_thresholds(loaded.plan, loaded.golden.prompts)
    return loaded


def _may_bring_scores(release: Release) -> bool:
    """Whether recorded answers have grades of their own, which need no assertion: the key stands in their file."""
    if not isinstance(release, ReplayRelease):
        return False
    with Path(release.responses).open("rb") as file:
        return any(b'"scores"' in line for line in file)


def unstoppable(loaded: Loaded) -> str:
    """Why a run of this pipeline is never stopped early; "" where it may be."""
    if not loaded.pipeline.is_live:
        return "both releases are recorded, so nothing would be saved"
    if loaded.plan.sequential:
        return "one arm is asked after the other, and no pair is whole before the end"
    if len({prompt.cluster for prompt in loaded.golden.prompts}) < len(loaded.golden.prompts):
        return "cases share clusters, and a cluster is known only when all of its cases are"
    if any(is_blocking(metric, loaded.plan.policy) for metric in loaded.plan.judges):
        return "a judge decides, and is asked when all is answered"
    return ""


def _labels(path: Path, loaded: Loaded) -> tuple[LabelRow, ...]:
    """The labels, so far as they can be checked before anything is asked."""
    rows = read_labels(path)
    require_metrics(rows, loaded.plan.judges, display(path))
    require_cases(rows, {prompt.id for prompt in loaded.golden.prompts}, display(path))
    return rows


def calibration_of(pipeline: Pipeline, path: Path) -> Path:
    """Where a pipeline's noise is kept: where it says, else beside it."""
    return path.with_suffix(".noise.json") if pipeline.calibration is None else Path(pipeline.calibration)


def resolve(pipeline: Pipeline, path: Path, *, stage: str) -> Loaded:
    """What a pipeline names, read and resolved for one stage, with its weights pinned.

    Every template is filled in once for every case, so that a prompt that
    cannot be sent is found before a token is spent. Raises UsageError with
    every problem of a file.
    """
    suite = load_suite(Path(pipeline.suite))
    policy = Policy() if pipeline.policy is None else load_policy(Path(pipeline.policy))
    load_plugins(suite.plugins)
    every = load_golden_sets([Path(folder) for folder in suite.golden_sets], suite)
    golden = draw(every, _cases(pipeline, policy, stage), pipeline.seed)
    suite, moves = pinned_suite(suite, pipeline.mlflow.tracking_uri)
    pipeline, sides = pinned_pipeline(pipeline)
    plan = make_plan(
        stage=stage,
        baseline=resolve_release(sides[Arm.BASELINE], Arm.BASELINE, every, golden, suite),
        candidate=resolve_release(sides[Arm.CANDIDATE], Arm.CANDIDATE, every, golden, suite),
        policy=policy,
        suite=suite,
        golden=golden,
        pipeline=pipeline,
        source=path,
    )
    judges = judges_of(suite, every, golden, stage=stage, seed=pipeline.seed)
    known = judge_file_of(suite, path, Path(pipeline.suite)) if judges else None
    partial = partial_judge(suite, *pipeline.releases.values()) if judges else ()
    told = (*plan.warnings, *moves, *(warning for side in sides.values() for warning in side.warnings), *partial)
    load, gaps = arrivals(pipeline.load, len(golden.prompts) * suite.repeat, plan.seed)
    plan = plan.model_copy(update={"judges": with_agreement(judges, known), "warnings": told, "load": load})
    _require_filled(golden, pipeline)
    return Loaded(pipeline=pipeline, suite=suite, golden=golden, plan=plan, gaps=gaps)


def _require_filled(golden: GoldenSet, pipeline: Pipeline) -> None:
    """Raise ConfigError for the first case that a template cannot be filled from, with its line."""
    for prompt in golden.prompts:
        try:
            for release in pipeline.releases.values():
                render(prompt, release, Arm.BASELINE, 0, 0)
        except ConfigError as error:
            raise ConfigError(f"{golden.places[prompt.id]}: {error}") from error


def _cases(pipeline: Pipeline, policy: Policy, stage: str) -> int | None:
    """How many cases the stage asks; None is all of them."""
    if stage != "build":
        return {"staging": pipeline.stages.staging, "shadow": pipeline.stages.shadow}[stage].cases
    if pipeline.stages.build is None:
        raise ConfigError("'stages.build' must be given for --stage build (got nothing)")
    if not any(rule.min_score is not None for rule in policy.quality.metrics.values()):
        raise ConfigError(
            "'quality.metrics' must give at least one metric a 'min_score' for --stage build, which asks the candidate "
            "alone: for example 'quality: {metrics: {pass: {min_score: 0.8}}}'"
        )
    return pipeline.stages.build.cases


def resolve_release(side: Pinned, arm: Arm, every: GoldenSet, drawn: GoldenSet, suite: Suite) -> ReleasePlan:
    """The release's identity; recorded outputs are read and checked.

    Their digest covers the answers to the cases drawn: those that will be judged.
    """
    release = side.release
    if isinstance(release, LiveRelease):
        return live_release(release, side.origins)
    responses = read_responses(Path(release.responses), arm)
    require_known(responses, every, {arm: display(release.responses)})
    _require_asked(responses, arm, suite)
    asked = {prompt.id for prompt in drawn.prompts}
    judged = tuple(response for response in responses if response.id in asked)
    digests = evidence_digests(Evidence(prompts=(), responses=judged, scores=()))
    return ReleasePlan(
        name=release.name, digest=digests[f"{arm}_responses"], release={"engine": "replay", "lines": len(responses)}
    )


def _require_asked(responses: Sequence[Response], arm: Arm, suite: Suite) -> None:
    """Raise EvidenceError for recorded repeats that the suite would not look at."""
    most = max((response.repeat for response in responses), default=0)
    if most >= suite.repeat:
        raise EvidenceError(
            f"{arm}: every 'repeat' must be below the suite's 'repeat: {suite.repeat}' (got {most}): "
            f"ask for 'repeat: {most + 1}', or leave the others out"
        )
