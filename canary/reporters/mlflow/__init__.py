"""A sealed run as runs, metrics, traces and files of MLflow.

One run per gate, found again by the sha256 of its record, with one run per arm
below it. Every step looks for what is there already or writes what is there
already once more, so that publishing again completes what was cut off and
doubles nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from canary.disk import locked_folder
from canary.errors import EvidenceError
from canary.manifest import digest, read
from canary.plan import Plan
from canary.records import Arm, Evidence, Verdict
from canary.reporters.mlflow.gate import Gate, find_gate, open_arm, open_gate, write_arm, write_gate
from canary.reporters.mlflow.traces import trace_id, traces_of, write_traces
from canary.tracking import connected

__all__ = ["find_gate", "publish", "trace_id", "traces_of"]


def publish(run: Path, verdict: Verdict, evidence: Evidence, plan: Plan) -> Iterator[str]:
    """Publish a sealed run, or complete what is there of it.

    Raises TrackingError where the server does not take it; what is there then
    stays, and the next call goes on from it.
    """
    document = (run / "manifest.json").read_bytes()
    sealed = read(document)
    if sealed is None:
        raise EvidenceError(f"{run} is not sealed: only a finished run is published")
    with locked_folder(run), connected(plan.mlflow.tracking_uri) as tracker:
        gate = open_gate(tracker.client, run, digest(document), sealed.sealed_at, verdict, plan)
        if gate.is_complete:
            yield f"mlflow: {_place(gate, tracker.shown)} has it already"
            return
        for arm in Arm:
            if plan.stage != "build" or arm is Arm.CANDIDATE:
                opened = open_arm(gate, arm, verdict, plan)
                write_arm(gate, opened, verdict)
                write_traces(tracker.client, gate, opened, evidence, plan)
        write_gate(gate, run, verdict, evidence, plan)
        yield f"mlflow: {_place(gate, tracker.shown)}"


def _place(gate: Gate, server: str) -> str:
    return f"run {gate.run_id} in experiment {gate.experiment!r} of {server}"
