"""What a user asks to run: suite and pipeline; and the resolved plan.

Pure models, no file is read here: `config` reads them, `run` resolves them.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from canary.calibration import Calibration
from canary.destination import Registry, Tracking
from canary.gate_change import GateChange
from canary.judging import JudgePlan
from canary.offered import Load, LoadPlan
from canary.policy import GuardrailRules, Policy, SaturationRules
from canary.records import Arm
from canary.release import HourlyPrice, Judging, LiveRelease, Release, ResponsesPath, completed
from canary.sharing import Sequential, Share, differing, obstacle
from canary.written import Written

PLAN_SCHEMA = "canary-gate/plan/1"

PLUGIN = "plugin "
"""Before a plugin's name among the versions."""


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


class RayRunner(Written):
    """One actor per arm in a Ray program."""

    type: Literal["ray"]
    share: Share = None
    sequential: Sequential = False
    address: str | None = Field(None, description="null starts Ray on this machine")
    gpus_per_arm: Annotated[float, Field(ge=0)] = Field(0.0, description="of each replica")
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
        for arm in ("baseline", "candidate"):
            price = getattr(getattr(self, arm), "price", None)
            if isinstance(price, HourlyPrice) and price.per_gpu_hour is not None and not gpus_of(self.runner):
                raise ValueError(
                    f"'{arm}.price.per_gpu_hour' needs GPUs to count: give 'runner: {{type: ray, gpus_per_arm: 1}}' "
                    f"(got {self.runner.type!r} without any), or say 'per_replica_hour' for all that one replica has"
                )
        return self

    @property
    def shares_engine(self) -> bool:
        """Whether one engine serves both arms; a release against itself has two, unless the runner says otherwise."""
        if self.runner.share is not None:
            return self.runner.share
        return bool(differing(self.baseline, self.candidate)) and not obstacle(self.baseline, self.candidate)

    @property
    def is_sequential(self) -> bool:
        """Whether one arm is asked after the other; arms that share an engine never need to be."""
        live = any(isinstance(side, LiveRelease) for side in (self.baseline, self.candidate))
        return self.runner.sequential and live and not self.shares_engine

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
        arms = {"baseline": self.baseline, "candidate": self.candidate}
        recorded = [name for name, release in arms.items() if not isinstance(release, LiveRelease)]
        if self.load is not None and recorded:
            raise ValueError(f"'load' must be left out: nothing is sent to a recorded release ({', '.join(recorded)})")
        hourly = [name for name, release in arms.items() if isinstance(getattr(release, "price", None), HourlyPrice)]
        if self.load is not None and hourly:
            same = "at a given rate a request's share of the hours is the same for any release"
            raise ValueError(f"leave out one of 'load' and the hourly 'price' ({', '.join(hourly)}): {same}")
        return self


class StratumPlan(BaseModel):
    """One stratum as resolved."""

    name: str
    cases: int
    weight: float


class GoldenSetPlan(BaseModel):
    """One file of cases as it was read, so that the record says what it holds."""

    name: str
    sha256: str
    licence: str = ""
    sensitivity: str = ""


class Origin(BaseModel):
    """Where weights came from that are no folder, as it was when the run was planned."""

    written: str
    """As the pipeline names them."""
    pinned: str
    """The same with nothing left in it that moves: `org/name@<commit>`, `models:/support/3`."""
    alias: str | None = None
    version: str | None = None
    source: str | None = None
    """Where the registry keeps the version's files."""
    sha256: str | None = None
    """Digest of the files that are loaded; a hub's commit needs none."""


class ReleasePlan(BaseModel):
    """A release as resolved; `digest` covers everything that changes answers."""

    name: str
    digest: str
    release: dict[str, Any]
    """The release as written, without secrets; its weights pinned."""
    origins: dict[str, Origin] = {}
    """Where `model` and `lora` came from, where that is no folder."""


class TrafficPlan(BaseModel):
    """How two streams of routed traffic are judged."""

    open: bool
    """The log still grows: only what may be looked at any number of times decides."""
    by: Literal["stratum", "tenant"] = "stratum"
    """What quality is split by."""


class Plan(BaseModel):
    """Everything resolved: what `plan.json` holds and what `evaluate` obeys."""

    schema_: str = Field(PLAN_SCHEMA, alias="schema")
    stage: str
    baseline: ReleasePlan
    candidate: ReleasePlan
    policy: Policy
    suite: Suite
    strata: tuple[StratumPlan, ...]
    required: tuple[str, ...] = ()
    """What the policy file asks for by name; lacking it is missing evidence."""
    golden_sha256: str
    """Digest of the sorted case digests asked in this run."""
    golden_sets: tuple[GoldenSetPlan, ...] = ()
    """The files that the cases came from."""
    seed: int
    versions: dict[str, str]
    calibration: Calibration | None = None
    """What the baseline does to itself; only ever of this baseline and these cases."""
    judges: dict[str, JudgePlan] = {}
    """Every judged metric, with who decides it and whether that judge may."""
    early_stopping: bool = False
    """Whether looks during the run may end it; they and the final test then share both alphas."""
    traffic: TrafficPlan | None = None
    """Set where nothing is paired: two streams instead of a golden set."""
    pipeline: str | None = None
    """The file that asked for this run, so that it can be resumed."""
    runner: dict[str, Any] = {}
    shared_engine: bool = False
    """One engine served both arms: what servers show belongs to neither."""
    sequential: bool = False
    """The baseline was asked everything before the candidate was asked anything: times are no evidence."""
    concurrency: int = 1
    load: LoadPlan | None = None
    """How an open loop offers requests; None where the loop is closed."""
    warmup: int = 0
    warnings: tuple[str, ...] = ()
    purpose: Literal["gate", "calibration", "replay"] = "gate"
    """Only a gate's own verdict can be promoted, and only it is history."""
    mlflow: Tracking = Tracking()
    registry: Registry = Registry()
    gate_changes: tuple[GateChange, ...] = ()
    """What of the gate itself the pull request changes, where a base ref judges."""

    @property
    def shared_server(self) -> bool:
        """Whether there was a server that says how it is, and says it of both arms at once."""
        return self.shared_engine and self.baseline.release.get("engine") == "vllm"

    def scoring_digest(self) -> str:
        """Identity of what scores an answer beside the case's own assertions."""
        judges = [judge.digest for _, judge in sorted(self.judges.items())]
        return digest_of([self.suite.assertions, self.suite.plugins, *judges])

    def digest(self) -> str:
        """Identity of the question: what is asked, of whom, under which policy.

        Leaves out how and where it is answered (runner, versions, paths), so
        that one question keeps its seeds on every machine.
        """
        kept = {"stage", "policy", "suite", "strata", "required", "golden_sha256", "seed"}
        document = self.model_dump(mode="json", by_alias=True, include=kept)
        for place in ("golden_sets", "judge"):
            document["suite"].pop(place)
        document["policy"].pop("promotion")  # what becomes of a verdict is no part of the question
        if self.policy.saturation == SaturationRules():
            document["policy"].pop("saturation")  # so that older runs keep their seeds
        if self.policy.guardrail == GuardrailRules():
            document["policy"].pop("guardrail")
        arms = {"baseline": self.baseline.digest, "candidate": self.candidate.digest}
        noise = {} if self.calibration is None else {"calibration": self.calibration.model_dump(mode="json")}
        judges = {"judges": {name: judge.model_dump() for name, judge in self.judges.items()}} if self.judges else {}
        looks = {"early_stopping": True} if self.early_stopping else {}
        streams = {} if self.traffic is None else {"traffic": self.traffic.model_dump(mode="json")}
        offered = {"shape", "rate", "speed", "sha256"}
        load = {} if self.load is None else {"load": self.load.model_dump(mode="json", include=offered)}
        return digest_of(document | arms | noise | judges | looks | streams | load)


def digest_of(document: Any) -> str:
    """The sha256 hex of a JSON document, whatever the order of its keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
