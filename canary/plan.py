"""What a run is bound to: the pipeline as resolved, and the digests that name it.

Pure models, no file is read here: `run` resolves them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from canary.calibration import Calibration
from canary.destination import Registry, Tracking
from canary.digest import digest_of
from canary.gate_change import GateChange
from canary.judging import JudgePlan
from canary.offered import LoadPlan
from canary.pipeline import Suite
from canary.policy import ErrorRule, GuardrailRules, Policy, SaturationRules

PLAN_SCHEMA = "canary-gate/plan/1"

PLUGIN = "plugin "
"""Before a plugin's name among the versions."""


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

    @property
    def is_recorded(self) -> bool:
        """Whether its answers were read from a file."""
        return self.release.get("engine") == "replay"


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
    base_ref: str | None = None
    """The commit whose rules judge, where they are not the pipeline's own; such a run is not resumed."""
    gate_changes: tuple[GateChange, ...] = ()
    """What of the gate itself the pull request changes, where a base ref judges."""

    @property
    def has_servers(self) -> bool:
        """Whether both arms have a server that says how it is: one each, or one for both."""
        return all(side.release.get("engine") == "vllm" for side in (self.baseline, self.candidate))

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
        if not self.shared_engine:
            document["required"] = [name for name in self.required if not name.startswith("saturation/")]
        if self.policy.guardrail == GuardrailRules():
            document["policy"].pop("guardrail")
        if self.policy.errors.first_try == ErrorRule():
            document["policy"]["errors"].pop("first_try")
        arms = {"baseline": self.baseline.digest, "candidate": self.candidate.digest}
        noise = {} if self.calibration is None else {"calibration": self.calibration.model_dump(mode="json")}
        judges = {"judges": {name: judge.model_dump() for name, judge in self.judges.items()}} if self.judges else {}
        looks = {"early_stopping": True} if self.early_stopping else {}
        streams = {} if self.traffic is None else {"traffic": self.traffic.model_dump(mode="json")}
        offered = {"shape", "rate", "speed", "sha256"}
        load = {} if self.load is None else {"load": self.load.model_dump(mode="json", include=offered)}
        return digest_of(document | arms | noise | judges | looks | streams | load)
