"""Scores and responses in, paired comparisons out."""

from __future__ import annotations

from canary.compare.cost import cost_comparisons
from canary.compare.drift import drift_comparisons
from canary.compare.errors import error_comparisons
from canary.compare.judged import distrust
from canary.compare.latency import latency_comparisons
from canary.compare.quality import floor_comparisons, quality_comparisons
from canary.compare.table import tabulate
from canary.plan import Plan
from canary.records import Comparison, Evidence

__all__ = ["compare"]


def compare(evidence: Evidence, plan: Plan) -> tuple[Comparison, ...]:
    """Every quantity both arms can be compared on, paired by prompt.

    The stage `build` asks the candidate only, so only its floors are compared.
    Lack of evidence is a comparison that says what is missing, never a
    comparison left out. Raises EvidenceError when responses are ambiguous or
    belong to no prompt.
    """
    table = tabulate(evidence, plan)
    floors = [distrust(floor, plan) for floor in floor_comparisons(table, evidence.scores, plan)]
    if plan.stage == "build":
        return tuple(floors)
    return (
        *(distrust(quality, plan) for quality in quality_comparisons(table, evidence.scores, plan)),
        *floors,
        *error_comparisons(table),
        *latency_comparisons(table, plan),
        *cost_comparisons(table, plan),
        *drift_comparisons(table, evidence.telemetry),
    )
