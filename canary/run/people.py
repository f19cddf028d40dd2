"""What people said in MLflow of a run's answers, as labels that a judge is calibrated with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from canary.disk import write_whole
from canary.errors import ConfigError, TrackingError
from canary.evidence import RunDirectory, load_run
from canary.manifest import digest
from canary.records import Response
from canary.reporters.mlflow import find_gate, trace_id, traces_of
from canary.tracking import connected

WORDS = {"yes": True, "no": False, "true": True, "false": False, "pass": True, "fail": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labels read, and what was left out."""

    rows: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...]


def import_labels(run: Path, out: Path, *, uri: str | None, experiment: str | None) -> Labels:
    """Write the labels that people gave a run's answers in MLflow to a JSONL file.

    A line is `{id, arm, metric, label, output}`, with the `repeat` where there
    are several answers, in the order of the run. Raises TrackingError where
    the run is not in MLflow.
    """
    if out.exists():
        raise ConfigError(f"{out} is there already; choose another file")
    plan, evidence = load_run(run)
    record = digest(RunDirectory(run).manifest.read_bytes())
    with connected(plan.mlflow.tracking_uri if uri is None else uri) as tracker:
        gate = find_gate(tracker.client, experiment or plan.mlflow.experiment, record)
        if gate is None:
            raise TrackingError(f"{run} is not in MLflow at {tracker.shown}: publish it first with canary log {run}")
        experiment_id, run_id = gate
        traces = traces_of(tracker.client, experiment_id, run_id)
        said = {trace.info.trace_id: list(trace.info.assessments or ()) for trace in traces}
    labels = _labels(evidence.responses, run_id, said)
    write_whole(out, (json.dumps(row).encode() + b"\n" for row in labels.rows))
    return labels


def _labels(responses: Iterable[Response], run_id: str, said: dict[str, list[Any]]) -> Labels:
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    disputed: dict[tuple[Any, ...], str] = {}
    left_out: list[str] = []
    for response in responses:
        for metric, values in _by_metric(said.get(trace_id(run_id, response), ())):
            where = f"{response.id} ({response.arm.value}), {metric}"
            labels = {_label(value) for value in values}
            key = metric, response.id, response.arm, response.output
            row = {"id": response.id, "arm": response.arm.value, "metric": metric, "label": labels.pop()}
            more = {"repeat": response.repeat} if response.repeat else {}
            if row["label"] is None or None in labels:
                left_out.append(f"{where}: neither yes nor no")
            elif labels or rows.get(key, row)["label"] is not row["label"]:
                disputed[key] = f"{where}: people disagree"
            else:
                rows.setdefault(key, row | {"output": response.output} | more)
    kept = tuple(row for key, row in rows.items() if key not in disputed)
    return Labels(rows=kept, left_out=(*left_out, *disputed.values()))


def _by_metric(assessments: Iterable[Any]) -> Iterator[tuple[str, list[Any]]]:
    """What each person said last of each metric; what was taken back or overridden is left out."""
    last: dict[tuple[str, str], Any] = {}
    given = [
        a for a in assessments if a.source.source_type == "HUMAN" and a.feedback is not None and a.valid is not False
    ]
    for assessment in sorted(given, key=lambda a: (a.last_update_time_ms, a.assessment_id)):
        last[assessment.name, assessment.source.source_id] = assessment.feedback.value
    for metric in sorted({name for name, _ in last}):
        yield metric, [value for (name, _), value in last.items() if name == metric]


def _label(value: Any) -> bool | None:
    """Yes or no; None for anything else."""
    if isinstance(value, bool):
        return value
    return WORDS.get(str(value).strip().lower()) if isinstance(value, str | int | float) else None
