"""Judge a finished run again: the same evidence, perhaps another policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from canary.config import load_policy
from canary.document import display
from canary.evaluate import evaluate
from canary.evidence import RunDirectory, load_run, stored_digests
from canary.records import Verdict
from canary.run.labels import labels_for, read_labels
from canary.run.recorded import Judged


def judge_again(path: Path, *, policy: Path | None = None, labels: Path | None = None) -> Judged:
    """The verdict of a run's evidence; the run itself is not touched.

    `labels` are what people said of its answers, in place of what it holds.
    Needs neither engine nor network: scores were stored. Raises EvidenceError
    when the record is not what its seal says.
    """
    plan, evidence = load_run(path)
    plan = plan.model_copy(update={"purpose": "replay"})
    if policy is not None:
        rules = load_policy(policy)
        plan = plan.model_copy(update={"policy": rules, "required": rules.required(levels=plan.has_servers)})
    if labels is not None:
        said = labels_for(read_labels(labels), evidence.responses, plan.judges, display(labels))
        evidence = replace(evidence, labels=said)
        return Judged(verdict=evaluate(evidence, plan), evidence=evidence, plan=plan)
    return Judged(verdict=evaluate(evidence, plan, stored_digests(path)), evidence=evidence, plan=plan)


def disagrees(path: Path, verdict: Verdict) -> Iterator[str]:
    """Whether a run says of itself what its evidence does not."""
    try:
        written = json.loads(RunDirectory(path).verdict.read_bytes())
    except (OSError, ValueError, RecursionError):
        written = None
    said = written.get("verdict") if isinstance(written, dict) else None
    if said != verdict.verdict.value:
        yield f"{path}: verdict.json says {said!r}, its evidence says {verdict.verdict.value!r}"
