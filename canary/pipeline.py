"""What a user asks to run: suite and pipeline.

Pure models, no file is read here: `config` reads them, `run` resolves them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from canary.destination import Registry, Tracking
from canary.offered import Load
from canary.records import Arm
from canary.release import HourlyPrice, Judging, LiveRelease, Release, ResponsesPath, VllmRelease, completed
from canary.sharing import Sequential, Share, differing, is_hourly, obstacle
from canary.written import Written

SuitePath = Annotated[str, Field(min_length=1), completed("suite")]
PolicyPath = Annotated[str, Field(min_length=1), completed("policy")]
GoldenSetPath = Annotated[str, Field(min_length=1), completed("golden_set")]
CalibrationPath = Annotated[str, Field(min_length=1), completed("calibration")]
AssertionSpec = Annotated[dict[str, Any], completed("assertion")]

MOST_REPEATS = 100
Count = Annotated[int, Field(ge=1, le=1_000_000)]


def _is_inside_case(path: str) -> str:
    if not re.fullmatch(r"(metadata|vars)(\.[^.]+)+", path):
        raise ValueError(f"must be a path into a case, like 'metadata.stratum' or 'vars.topic' (got {path!r})")
    return path


CasePath = Annotated[
    str,
    AfterValidator(_is_inside_case),
    WithJsonSchema({"type": "string", "pattern": r"^(metadata|vars)(\.[^.]+)+$"}),
]


class Judge(Written):
    """The model that judged assertions ask."""

    release: Judging = Field(description="any engine that answers for itself; its prompt is ours")
    votes: Annotated[int, Field(ge=1, le=25)] = Field(1, description="times each answer is judged, unless it says")
    concurrency: Annotated[int, Field(ge=1, le=1024)] = Field(4, description="questions in flight")
    cases: Count | None = Field(None, description="stratified draw of the judged cases; null judges them all")
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="most tokens a run may spend on judging, read and written"
    )
    max_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="most money a run may spend on judging; needs the release's price"
    )

    calibration: CalibrationPath | None = Field(
        None,
        description="file of canary calibrate judge; null: <pipeline>.judge.json or <suite>.judge.json, if any",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Judge:
        if self.release.prompt != LiveRelease.model_fields["prompt"].default:
            raise ValueError("'judge.release.prompt' must be left out: the words that a judge reads are ours")
        if self.release.price != self.release.token_price:
            raise ValueError("'judge.release.price' must be per token: a budget counts tokens")
        if self.max_usd is not None and self.release.price is None:
            raise ValueError("'judge.max_usd' needs 'judge.release.price': nothing else says what a token costs")
        return self


class StrataRule(Written):
    """Where a case's stratum stands."""

    by: CasePath = "metadata.stratum"


class Suite(Written):
    """What is asked and how answers are scored."""

    golden_sets: tuple[GoldenSetPath, ...] = Field(min_length=1, description="folders, or prompts.jsonl files")
    assertions: tuple[AssertionSpec, ...] = Field((), alias="assert", description="added to each case's own")
    strata: StrataRule = StrataRule()
    cluster: CasePath = Field("metadata.cluster", description="cases that share a source are not independent")
    repeat: Annotated[int, Field(ge=1, le=MOST_REPEATS)] = 1
    judge: Judge | None = Field(None, description="who answers judged assertions such as llm-rubric")
    plugins: tuple[str, ...] = Field((), description="Python modules that expose ASSERTIONS")


class LocalRunner(Written):
    """Both arms in this process."""

    type: Literal["local"] = "local"
    share: Share = None
    sequential: Sequential = False


def _in_whole_gpus(gpus: float) -> float:
    """As Ray shares them out: a part of one, or several whole ones."""
    if gpus > 1 and not gpus.is_integer():
        raise ValueError(f"must be at most 1, or a whole number (got {gpus:g})")
    return gpus


class RayRunner(Written):
    """One actor per arm in a Ray program."""

    type: Literal["ray"]
    share: Share = None
    sequential: Sequential = False
    address: str | None = Field(None, description="null starts Ray on this machine")
    gpus_per_arm: Annotated[float, Field(ge=0), AfterValidator(_in_whole_gpus)] = Field(
        0.0, description="of each replica"
    )
    cpus_per_arm: Annotated[float, Field(gt=0)] = Field(1.0, description="of each replica")
    replicas: Annotated[int, Field(ge=1, le=256)] = Field(1, description="engines per arm that share its requests")
    placement: Literal["pack", "spread"] = Field("pack", description="together on one node where they fit, or apart")
    scorer_gpus: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="of an actor that embeds answers; 0: they are embedded where the run was started"
    )

    def room(self) -> dict[str, float]:
        """What one replica takes, by the cluster's names."""
        return {"CPU": self.cpus_per_arm} | ({"GPU": self.gpus_per_arm} if self.gpus_per_arm else {})


def gpus_of(runner: LocalRunner | RayRunner) -> float:
    """GPUs that one replica of an arm is given; 0 where a runner gives none."""
    return runner.gpus_per_arm if isinstance(runner, RayRunner) else 0.0


def _by_name(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


Runner = Annotated[
    Annotated[LocalRunner | RayRunner, Field(discriminator="type")],
    BeforeValidator(_by_name, json_schema_input_type=LocalRunner | RayRunner | Literal["local", "ray"]),
]


class Stage(Written):
    """How much of the golden set one stage asks."""

    cases: Count | None = Field(None, description="stratified draw of this many cases; null asks them all")


class Stages(Written):
    """The stages a release passes through before it meets traffic."""

    build: Stage | None = Field(None, description="structural assertions, candidate only")
    staging: Stage = Stage()
    shadow: Stage = Field(Stage(), description="requests as production recorded them, which nobody knows the answer to")


ReporterName = Literal["github", "html", "json", "junit", "markdown", "mlflow", "terminal"]
"""The keys of `canary.reporters.REPORTERS` and `PUBLISHERS`."""


class Pipeline(Written):
    """Two releases, a suite and a policy."""

    suite: SuitePath
    policy: PolicyPath | None = Field(None, description="null: the default policy")
    baseline: Release
    candidate: Release
    calibration: CalibrationPath | None = Field(
        None, description="noise file of canary calibrate noise; null: <this file>.noise.json, if there is one"
    )
    labels: ResponsesPath | None = Field(
        None, description="people's labels of this run's answers, JSONL or CSV; they correct its judges"
    )
    runner: Runner = LocalRunner()
    stages: Stages = Stages()
    concurrency: Annotated[int, Field(ge=1, le=4096)] = Field(8, description="requests in flight per arm, at most")
    load: Load | None = Field(None, description="null: a closed loop, always `concurrency` in flight")
    warmup: Annotated[int, Field(ge=0, le=1000)] = Field(2, description="requests per arm, reported and left out")
    seed: int = 0
    reporters: tuple[ReporterName, ...] = Field(
        ("terminal", "json", "markdown", "html", "junit", "github"),
        description="reports a run makes; json is its record and always written, github speaks only inside its Actions",
    )
    mlflow: Tracking = Field(Tracking(), description="where the reporter mlflow publishes")
    registry: Registry = Field(Registry(), description="what canary promote moves")

    @model_validator(mode="after")
    def _has_priced_gpus(self) -> Pipeline:
        for arm, release in self.releases.items():
            price = getattr(release, "price", None)
            if isinstance(price, HourlyPrice) and price.per_gpu_hour is not None and not gpus_of(self.runner):
                raise ValueError(
                    f"'{arm}.price.per_gpu_hour' needs GPUs to count: give 'runner: {{type: ray, gpus_per_arm: 1}}' "
                    f"(got {self.runner.type!r} without any), or say 'per_replica_hour' for all that one replica has"
                )
        return self

    @model_validator(mode="after")
    def _has_gpus_to_share(self) -> Pipeline:
        """A server that splits a model over more GPUs than its replica is given would end at its start."""
        gpus = gpus_of(self.runner)
        for arm, release in self.releases.items():
            wanted = release.tensor_parallel if isinstance(release, VllmRelease) else 1
            if 0 < gpus < wanted and wanted > 1:
                raise ValueError(
                    f"'{arm}.tensor_parallel' must be at most the GPUs of a replica, 'runner.gpus_per_arm: {gpus:g}' "
                    f"(got {wanted}): give each replica as many"
                )
        return self

    @property
    def releases(self) -> dict[Arm, Release]:
        """What each arm is."""
        return {Arm.BASELINE: self.baseline, Arm.CANDIDATE: self.candidate}

    @property
    def is_live(self) -> bool:
        """Whether an arm answers for itself, rather than both from a file."""
        return any(isinstance(release, LiveRelease) for release in self.releases.values())

    @property
    def shares_engine(self) -> bool:
        """Whether one engine serves both arms; a release against itself has two, unless the runner says otherwise."""
        if self.runner.share is not None:
            return self.runner.share
        return bool(differing(self.baseline, self.candidate)) and not obstacle(self.baseline, self.candidate)

    @property
    def is_sequential(self) -> bool:
        """Whether one arm is asked after the other; arms that share an engine never need to be."""
        return self.runner.sequential and self.is_live and not self.shares_engine

    @property
    def engines_at_once(self) -> int:
        """How many engines, each with all its replicas, there must be room for."""
        return 1 if self.shares_engine or self.is_sequential else len(Arm)

    @property
    def in_flight(self) -> int:
        """Requests that one engine, all its replicas together, has at a time."""
        return self.concurrency * (len(Arm) if self.shares_engine else 1)

    @model_validator(mode="after")
    def _can_share(self) -> Pipeline:
        why = obstacle(self.baseline, self.candidate)
        if self.runner.share and why:
            raise ValueError(f"'runner.share' must be false, or left out: {why}")
        return self

    @model_validator(mode="after")
    def _offers_to_both(self) -> Pipeline:
        recorded = [arm for arm, release in self.releases.items() if not isinstance(release, LiveRelease)]
        if self.load is not None and recorded:
            raise ValueError(f"'load' must be left out: nothing is sent to a recorded release ({', '.join(recorded)})")
        hourly = [arm for arm, release in self.releases.items() if is_hourly(release)]
        if self.load is not None and hourly:
            same = "at a given rate a request's share of the hours is the same for any release"
            raise ValueError(f"leave out one of 'load' and the hourly 'price' ({', '.join(hourly)}): {same}")
        return self
