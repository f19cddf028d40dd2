"""The whole pure path in one function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canary.compare import compare
from canary.gate import decide
from canary.plan import Plan
from canary.records import Evidence, Verdict
from canary.signals import measure


def evaluate(evidence: Evidence, plan: Plan, record: Mapping[str, Any] | None = None) -> Verdict:
    """The verdict that saved evidence supports under a plan.

    Pure: no clock, file, network or unseeded randomness, so that the same
    evidence and plan give the same verdict to the byte. `record` is what the
    caller wants bound into the verdict, such as the evidence's digests.
    Raises EvidenceError when responses are ambiguous or belong to no prompt.
    """
    return decide(measure(compare(evidence, plan), plan), plan, record or {})
