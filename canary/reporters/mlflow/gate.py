"""The runs of a gate in MLflow: one for the verdict, one below it for each arm."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from canary.plan import Plan
from canary.records import Arm, Evidence, Side, Verdict
from canary.reporters.mlflow.names import arm_metrics, gate_metrics, milliseconds
from canary.reporters.mlflow.table import case_table
from canary.tracking import DIGEST, experiment_of, logged_model, text_for_mlflow

T = TypeVar("T")

RECORD = "gate.record_sha256"
COMPLETE = "gate.complete"
MOST = 1000
"""Metrics in one request."""
TABLE = "gate/cases.json"
LONGEST_TAG = 7000
LONGEST_DATASET_DIGEST = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The run of a verdict."""

    client: Any
    experiment_id: str
    experiment: str
    run_id: str
    is_complete: bool
    timestamp: int
    """Of the seal, in milliseconds: what is logged twice is then logged once."""
    dataset: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenArm:
    """The run of an arm, and the model that answered."""

    arm: Arm
    run_id: str
    model_id: str


def open_gate(client: Any, run: Path, record: str, sealed_at: str | None, verdict: Verdict, plan: Plan) -> Gate:
    """The run of this record, begun where there is none; its tags are there from its first moment."""
    experiment_id = experiment_of(client, plan.mlflow.experiment)
    found = _find(client, experiment_id, {RECORD: record})
    timestamp = milliseconds(sealed_at)
    if found is None:
        tags = _gate_tags(run, record, verdict, plan)
        name = text_for_mlflow(run.resolve().name, 200)
        found = client.create_run(experiment_id, start_time=timestamp or None, run_name=name, tags=tags)
    return Gate(
        client=client,
        experiment_id=experiment_id,
        experiment=plan.mlflow.experiment,
        run_id=found.info.run_id,
        is_complete=found.data.tags.get(COMPLETE) == "true",
        timestamp=timestamp,
        dataset=_dataset(plan),
    )


def find_gate(client: Any, experiment: str, record: str) -> tuple[str, str] | None:
    """The experiment's id and the run's id of a record; None where it was not published there."""
    found = client.get_experiment_by_name(experiment)
    run = None if found is None else _find(client, found.experiment_id, {RECORD: record})
    return None if run is None else (str(found.experiment_id), str(run.info.run_id))


def open_arm(gate: Gate, arm: Arm, verdict: Verdict, plan: Plan) -> OpenArm:
    """The run of one arm and its logged model, each begun where there is none."""
    side: Side = getattr(verdict, arm.value)
    own = {"mlflow.parentRunId": gate.run_id, "gate.arm": arm.value}
    found = _find(gate.client, gate.experiment_id, own)
    if found is None:
        name = text_for_mlflow(f"{arm.value}: {side.name}", 200)
        tags = own | {DIGEST: side.digest, "gate.release": text_for_mlflow(side.name, 500)}
        start = gate.timestamp or None
        found = gate.client.create_run(gate.experiment_id, start_time=start, run_name=name, tags=tags)
    release = getattr(plan, arm.value).release
    model_id = logged_model(gate.client, gate.experiment_id, side.name, side.digest, release, found.info.run_id)
    return OpenArm(arm=arm, run_id=found.info.run_id, model_id=model_id)


def write_arm(gate: Gate, arm: OpenArm, verdict: Verdict) -> None:
    """What the arm was measured to be, on its run and on its model."""
    from mlflow.entities import LoggedModelInput

    _log_inputs(gate, arm.run_id, models=[LoggedModelInput(arm.model_id)])
    _log_metrics(gate, arm.run_id, arm_metrics(verdict, arm.arm), arm.model_id)
    gate.client.set_terminated(arm.run_id, end_time=gate.timestamp or None)


def write_gate(gate: Gate, run: Path, verdict: Verdict, evidence: Evidence, plan: Plan) -> None:
    """The verdict itself, its files and its table; last of all, that it is complete."""
    client = gate.client
    _log_inputs(gate, gate.run_id)
    _log_metrics(gate, gate.run_id, gate_metrics(verdict))
    client.log_batch(gate.run_id, params=list(_params(verdict, plan)))
    client.log_dict(gate.run_id, case_table(evidence), TABLE)
    client.set_tag(gate.run_id, "mlflow.loggedArtifacts", f'[{{"path": "{TABLE}", "type": "table"}}]')
    for file in sorted(_visible(run)):
        inside = file.relative_to(run).parent.as_posix()
        client.log_artifact(gate.run_id, str(file), "gate/record" if inside == "." else f"gate/record/{inside}")
    client.log_artifact(gate.run_id, str(run / "verdict.json"), "gate")
    client.set_terminated(gate.run_id, end_time=gate.timestamp or None)
    client.set_tag(gate.run_id, COMPLETE, "true")


def _log_inputs(gate: Gate, run_id: str, **more: Any) -> None:
    """The cases as the run's dataset, and more; where another gate enters the same cases at once, its entry serves."""
    from mlflow.entities import DatasetInput
    from mlflow.exceptions import MlflowException

    inputs = {"datasets": [DatasetInput(gate.dataset, _context())], **more}
    try:
        gate.client.log_inputs(run_id, **inputs)
    except MlflowException as error:
        if error.error_code != "BAD_REQUEST":
            raise
        gate.client.log_inputs(run_id, **inputs)


def _visible(run: Path) -> Iterator[Path]:
    for path in run.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(run).parts):
            yield path


def _find(client: Any, experiment_id: str, tags: Mapping[str, str]) -> Any:
    """The first run with these tags, as everyone else finds it."""
    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    runs = client.search_runs([experiment_id], wanted, order_by=["attributes.start_time ASC", "attributes.run_id ASC"])
    return runs[0] if runs else None


def _gate_tags(run: Path, record: str, verdict: Verdict, plan: Plan) -> dict[str, str]:
    summary = run / "summary.md"
    note = summary.read_text(encoding="utf-8", errors="replace") if summary.is_file() else verdict.reason
    tags = {
        RECORD: record,
        "gate.verdict": verdict.verdict.value,
        "gate.reason": verdict.reason,
        "gate.stage": verdict.stage,
        "gate.purpose": plan.purpose,
        "gate.run": run.resolve().name,
        "gate.golden_sha256": plan.golden_sha256,
        "gate.baseline_digest": verdict.baseline.digest,
        "gate.candidate_digest": verdict.candidate.digest,
        "mlflow.note.content": note,
    }
    return {key: text_for_mlflow(value, LONGEST_TAG) for key, value in tags.items()}


def _dataset(plan: Plan) -> Any:
    """The golden set: its digest is cut to what MLflow takes, a tag has it in full."""
    import json  # noqa: PLC0415 - a few bytes for MLflow alone

    from mlflow.entities import Dataset

    names = ", ".join(golden.name for golden in plan.golden_sets) or "cases of both arms"
    return Dataset(
        name=text_for_mlflow(names, 400),
        digest=plan.golden_sha256[:LONGEST_DATASET_DIGEST],
        source_type="canary-gate",
        source=json.dumps({"golden_sha256": plan.golden_sha256}),
        profile=json.dumps({"num_rows": sum(stratum.cases for stratum in plan.strata)}),
    )


def _context() -> list[Any]:
    from mlflow.entities import InputTag

    return [InputTag("mlflow.data.context", "gate")]


def _log_metrics(gate: Gate, run_id: str, values: Mapping[str, float], model_id: str | None = None) -> None:
    from mlflow.entities import Metric

    on = {"dataset_name": gate.dataset.name, "dataset_digest": gate.dataset.digest}
    stamp = gate.timestamp or int(time.time() * 1000)
    metrics = [
        Metric(key, value, stamp, 0, model_id=model_id, run_id=run_id, **(on if model_id else {}))
        for key, value in values.items()
    ]
    for part in parts(metrics, MOST):
        gate.client.log_batch(run_id, metrics=part)


def _params(verdict: Verdict, plan: Plan) -> Iterable[Any]:
    from mlflow.entities import Param

    values = {
        "baseline": verdict.baseline.name,
        "candidate": verdict.candidate.name,
        "stage": verdict.stage,
        "seed": str(plan.seed),
        "repeat": str(plan.suite.repeat),
        **{f"alpha.{name}": str(value) for name, value in verdict.alpha.items()},
    }
    return [Param(key, text_for_mlflow(value, 5000)) for key, value in values.items()]


def parts(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """The items in their order, so many at a time."""
    for start in range(0, len(items), most):
        yield items[start : start + most]
