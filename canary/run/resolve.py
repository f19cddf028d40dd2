"""What was written in, what will be done out: digests, strata, versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

from canary.assertions import plugin_version
from canary.assertions.binding import BUILD
from canary.assertions.template import asks_baseline
from canary.calibration import Calibration
from canary.codec import golden_digest
from canary.destination import Registry, Tracking
from canary.digest import digest_of
from canary.document import display
from canary.errors import ConfigError
from canary.golden import GoldenSet, Source
from canary.pipeline import Pipeline, Suite
from canary.plan import PLUGIN, GoldenSetPlan, Origin, Plan, ReleasePlan, StratumPlan
from canary.policy import Policy
from canary.release import LiveRelease, TransformersRelease, VllmRelease
from canary.sharing import differing, listed
from canary.weights import digest_of_folder

EXECUTION = {"name", "price", "timeout_s", "api_key", "headers", "device", "threads", "python", "start_timeout_s"}
EXECUTION |= {"model", "lora", "responses"}
"""Fields of a release that do not change its answers, or are digested by content."""
STORES = {"download_dir", "allowed_local_media_path"}
"""Engine arguments whose folders hold much more than the release."""


def make_plan(
    *,
    stage: str,
    baseline: ReleasePlan,
    candidate: ReleasePlan,
    policy: Policy,
    suite: Suite,
    golden: GoldenSet,
    pipeline: Pipeline | None = None,
    source: Path | None = None,
) -> Plan:
    """Everything a run obeys, in one document; ConfigError where it would compare the baseline with one answer."""
    _require_repeats(stage, suite, golden)
    asked = pipeline if stage != "build" else None
    shares, in_turn = (asked.shares_engine, asked.is_sequential) if asked else (False, False)
    plan = Plan(
        stage=stage,
        baseline=baseline,
        candidate=candidate,
        policy=policy,
        suite=suite,
        strata=strata_of(golden),
        golden_sha256=golden_digest(golden.prompts),
        golden_sets=tuple(map(_golden_set, golden.sources)),
        seed=pipeline.seed if pipeline else 0,
        versions=versions(suite),
        pipeline=None if source is None else str(source),
        runner={} if pipeline is None else pipeline.runner.model_dump(mode="json"),
        shared_engine=shares,
        sequential=in_turn,
        concurrency=1 if pipeline is None else pipeline.concurrency,
        warmup=0 if pipeline is None else pipeline.warmup,
        warnings=(*golden.warnings, *(_bench(asked) if asked else ())),
        mlflow=Tracking() if pipeline is None else pipeline.mlflow,
        registry=Registry() if pipeline is None else pipeline.registry,
    )
    return plan.model_copy(update={"required": policy.required(levels=plan.has_servers)})


IN_TURN = (
    "the arms are asked one after the other ('sequential: true'): quality, errors and prices per token are paired as "
    "ever; latency, goodput, throughput, saturation and prices per hour are of different moments and no evidence, so "
    "that what the policy lets decide of them holds"
)
"""What it costs to do without room for both arms."""


def _bench(pipeline: Pipeline) -> tuple[str, ...]:
    """What is not measured where the arms have not an engine each, at the same time."""
    if pipeline.is_sequential:
        return (IN_TURN,)
    if not pipeline.shares_engine:
        return ()
    differ = differing(pipeline.baseline, pipeline.candidate)
    why = f"the releases differ only in {listed(differ)}" if differ else "the runner says so"
    told = (
        f"both arms share one engine: {why}; their requests wait in one queue, so load that the candidate adds slows "
        "both, and what servers show (saturation, throughput) is told of neither: 'share: false' on the runner brings "
        "up one each"
    )
    return (told,)


def _require_repeats(stage: str, suite: Suite, golden: GoldenSet) -> None:
    if suite.repeat > 1 or stage == BUILD:
        return
    if any(asks_baseline(suite.assertions, prompt) for prompt in golden.prompts):
        raise ConfigError(
            "'repeat' of the suite must be at least 2 where an assertion asks for '{{baseline}}' (got 1): the baseline "
            "is held against its own answer another time it was asked; write 'repeat: 2'"
        )


def _golden_set(source: Source) -> GoldenSetPlan:
    return GoldenSetPlan(name=source.name, sha256=source.sha256, licence=source.licence, sensitivity=source.sensitivity)


def strata_of(golden: GoldenSet) -> tuple[StratumPlan, ...]:
    """The strata with their cases and weights, by name."""
    counts = golden.counts().items()
    return tuple(StratumPlan(name=name, cases=cases, weight=golden.strata[name]) for name, cases in counts)


def live_release(release: LiveRelease, origins: Mapping[str, Origin] = MappingProxyType({})) -> ReleasePlan:
    """A release that answers for itself, its weights pinned; its digest covers what changes answers."""
    places = {"model": release.model, "lora": release.lora if isinstance(release, VllmRelease) else None}
    content = {key: _content(place, origins.get(key)) for key, place in places.items() if place is not None}
    content |= _named_files(release)
    unwritten = {"revision"} if isinstance(release, TransformersRelease) and release.revision is None else set()
    answers = release.model_dump(mode="json", by_alias=True, exclude=EXECUTION | unwritten)
    written = release.model_dump(mode="json", by_alias=True, exclude={"api_key", "headers"})
    return ReleasePlan(
        name=release.name,
        digest=digest_of(content | answers),
        release=written | {key: origin.pinned for key, origin in origins.items() if origin.sha256 is not None},
        origins=dict(origins),
    )


def _content(place: str, origin: Origin | None) -> str:
    """Digest of weights that are here; a hub's id stands for itself, beside the commit in `revision`."""
    if origin is not None and origin.sha256 is not None:
        return origin.sha256
    return digest_of_folder(Path(place)) if Path(place).exists() else place


def _named_files(release: LiveRelease) -> dict[str, str]:
    """Digest of each file or folder that an engine argument names, such as a chat template: its content answers too."""
    if not isinstance(release, VllmRelease):
        return {}
    found = {}
    for name, value in release.engine_args.items():
        if name.replace("-", "_") in STORES:
            continue
        for text in (str(each) for each in (value if isinstance(value, tuple) else (value,))):
            if os.path.isfile(text) or ("/" in text and os.path.isdir(text)):  # noqa: PTH112, PTH113 - no error for text
                found[f"engine_args.{name}={text}"] = digest_of_folder(Path(text))
    return found


def versions(suite: Suite) -> dict[str, str]:
    """What computed the verdict, plugins included."""
    found = {"python": platform.python_version()}
    for name in ("canary-gate", "numpy", "scipy", "torch", "transformers", "ray"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {f"{PLUGIN}{name}": plugin_version(name) for name in suite.plugins}


def calibration_command(plan: Plan) -> str:
    """What measures the noise of the cases that this plan asks."""
    stage = " --stage shadow" if plan.stage == "shadow" else ""
    return f"canary calibrate noise {display(plan.pipeline or 'PIPELINE')}{stage}"


def with_noise(plan: Plan, calibration: Calibration, name: str) -> Plan:
    """The plan with its noise; a calibration of something else only as a warning."""
    measured = (plan.baseline.digest, plan.golden_sha256, plan.scoring_digest(), plan.suite.repeat)
    differs = calibration.differs(*measured)
    if not differs:
        return plan.model_copy(update={"calibration": calibration})
    stale = f"{name} is not used: it was measured {' and '.join(differs)}; measure again: {calibration_command(plan)}"
    return plan.model_copy(update={"warnings": (*plan.warnings, stale)})
