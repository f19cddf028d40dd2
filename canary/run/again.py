"""Judge a finished run again: the same evidence, perhaps another policy."""

from __future__ import annotations

from pathlib import Path

from canary.config import load_policy
from canary.evaluate import evaluate
from canary.evidence import load_run, stored_digests
from canary.run.recorded import Judged


def judge_again(path: Path, *, policy: Path | None = None) -> Judged:
    """The verdict of a run's evidence; the run itself is not touched.

    Needs neither engine nor network: scores were stored. Raises EvidenceError
    when the record is not what its seal says.
    """
    plan, evidence = load_run(path)
    plan = plan.model_copy(update={"purpose": "replay"})
    if policy is not None:
        rules = load_policy(policy)
        plan = plan.model_copy(update={"policy": rules, "required": rules.required()})
    return Judged(verdict=evaluate(evidence, plan, stored_digests(path)), evidence=evidence, plan=plan)
