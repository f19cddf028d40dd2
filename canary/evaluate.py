"""The whole pure path in one function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canary.codec import evidence_digests
from canary.compare import compare, compare_traffic
from canary.compare.observed import observe
from canary.digest import digest_of
from canary.gate import decide
from canary.looks.stop import described, first_stop, upto
from canary.looks.traffic import described_traffic
from canary.plan import PLUGIN, Plan
from canary.records import Evidence, Verdict
from canary.signals import measure, measure_traffic
from canary.signals.load import load_signals
from canary.signals.saturation import saturation_signals


def evaluate(evidence: Evidence, plan: Plan, digests: Mapping[str, str] | None = None) -> Verdict:
    """The verdict that saved evidence supports under a plan.

    Pure: no clock, file, network or unseeded randomness, so that the same
    evidence and plan give the same verdict to the byte. `digests` are the
    evidence's own, where the caller has them already. A run that was stopped
    early is judged by the cases it was stopped after. Raises EvidenceError when
    responses are ambiguous or belong to no prompt.
    """
    record: dict[str, Any] = {
        "plan": plan.digest(),
        "policy": digest_of(plan.policy.model_dump(mode="json", by_alias=True)),
        "golden": plan.golden_sha256,
        **{f"judge/{metric}": judge.digest for metric, judge in sorted(plan.judges.items())},
        **(evidence_digests(evidence) if digests is None else digests),
    }
    plugins = {name.removeprefix(PLUGIN): of for name, of in plan.versions.items() if name.startswith(PLUGIN)}
    record |= {"plugins": plugins} if plugins else {}
    if plan.traffic is not None:
        contrasts, floors, warnings = compare_traffic(evidence, plan)
        told = plan.model_copy(update={"warnings": (*plan.warnings, *warnings)})
        return decide(measure_traffic(contrasts, floors, plan), told, record, described_traffic(evidence, plan))
    stop, seen = first_stop(evidence, plan)
    judged = evidence if stop is None else upto(evidence, stop.cases, plan)
    signals = measure(compare(judged, plan), plan, None if stop is None else stop.proofs)
    signals += (*saturation_signals(observe(judged), plan), *load_signals(judged.responses, plan))
    return decide(signals, plan, record, described(stop, seen, evidence, plan))
