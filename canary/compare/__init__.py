"""Scores and responses in, comparisons out: paired by prompt, or two streams of traffic."""

from __future__ import annotations

from canary.compare.cost import cost_comparisons
from canary.compare.drift import drift_comparisons
from canary.compare.errors import error_comparisons
from canary.compare.guardrail import guardrail_comparisons
from canary.compare.latency import latency_comparisons
from canary.compare.quality import floor_comparisons, quality_comparisons
from canary.compare.routed import tabulate_traffic
from canary.compare.routed_guardrail import guardrail_contrasts
from canary.compare.routed_quality import quality_contrasts, traffic_floors
from canary.compare.served import served_comparisons
from canary.compare.table import tabulate
from canary.compare.traffic import traffic_contrasts
from canary.contrast import Contrast
from canary.plan import Plan
from canary.records import Comparison, Evidence

__all__ = ["compare", "compare_traffic"]


def compare(evidence: Evidence, plan: Plan) -> tuple[Comparison, ...]:
    """Every quantity both arms can be compared on, paired by prompt.

    The stage `build` asks the candidate only, so only its floors are compared.
    Lack of evidence is a comparison that says what is missing, never a
    comparison left out. Raises EvidenceError when responses are ambiguous or
    belong to no prompt.
    """
    table = tabulate(evidence, plan)
    floors = tuple(floor_comparisons(table, evidence.scores, plan))
    if plan.stage == "build":
        return floors
    return (
        *quality_comparisons(table, evidence.scores, plan, evidence.labels),
        *floors,
        *error_comparisons(table),
        *guardrail_comparisons(table, plan),
        *latency_comparisons(table, plan),
        *cost_comparisons(table, plan),
        *served_comparisons(table, plan),
        *drift_comparisons(table, evidence.telemetry),
    )


def compare_traffic(
    evidence: Evidence, plan: Plan
) -> tuple[tuple[Contrast, ...], tuple[Comparison, ...], tuple[str, ...]]:
    """Every quantity of two streams of routed traffic, the candidate's floors, and warnings about the traffic.

    Raises EvidenceError when lines are ambiguous.
    """
    traffic = tabulate_traffic(evidence)
    contrasts = (
        *quality_contrasts(traffic, evidence.scores, plan),
        *traffic_contrasts(traffic, plan),
        *guardrail_contrasts(traffic, plan),
    )
    return contrasts, tuple(traffic_floors(traffic, evidence.scores, plan)), traffic.warnings
