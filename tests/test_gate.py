"""The OR-composite: every way but one leads away from promote."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from canary.gate import decide
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, StratumPlan
from canary.policy import Policy
from canary.records import Decision, Signal, Status, Tier


def make_plan(**policy: Any) -> Plan:
    """A plan whose policy is what the test says."""
    release = ReleasePlan(name="r", digest="0" * 64, release={})
    return Plan(
        stage="staging",
        baseline=release,
        candidate=release,
        policy=Policy.model_validate(policy),
        suite=Suite(golden_sets=("g",)),
        strata=(StratumPlan(name="s", cases=1, weight=1.0),),
        golden_sha256="0" * 64,
        seed=0,
        versions={},
    )


def make_signal(name: str, status: Status, tier: Tier = Tier.BLOCKING) -> Signal:
    """A signal of which only name, status and tier matter."""
    return Signal(
        name=name, kind="quality", stratum=None, metric="m", tier=tier, status=status, baseline=None, candidate=None,
        effect="difference", estimate=None, low=None, high=None, margin=None, n=0, method="none", p_harm=None,
        p_harm_adjusted=None, p_noninferior=None, need=None,
        reason=f"{name} is {status.label}", warnings=(), runbook=None,
    )  # fmt: skip


P, U, F = Status.PASS, Status.INCONCLUSIVE, Status.FAIL


@pytest.mark.parametrize(
    ("statuses", "decision"),
    [
        ([P], Decision.PROMOTE),
        ([P, P], Decision.PROMOTE),
        ([P, U], Decision.HOLD),
        ([U], Decision.HOLD),
        ([P, F], Decision.ROLLBACK),
        ([U, F], Decision.ROLLBACK),
        ([], Decision.HOLD),
    ],
)
def test_the_worst_blocking_signal_decides(statuses: list[Status], decision: Decision) -> None:
    """By default the verdict is the maximum over an ordered status."""
    signals = [make_signal(f"quality/{i}/m", status) for i, status in enumerate(statuses)]

    assert decide(signals, make_plan(), {}).verdict is decision


def test_the_reason_names_the_category_before_the_pool() -> None:
    """What pulled the average down is what a reader must see first."""
    pool = replace(make_signal("quality/all/pass", F), stratum="all", p_harm_adjusted=0.001)
    category = replace(make_signal("quality/tools/pass", F), stratum="tools", p_harm_adjusted=0.01)

    assert decide([pool, category], make_plan(), {}).reason.startswith("quality/tools/pass")


def test_advisory_signals_decide_nothing() -> None:
    """A failing advisory signal neither rolls back nor, alone, promotes."""
    failing = make_signal("quality/all/tone", F, Tier.ADVISORY)

    assert decide([failing, make_signal("quality/all/pass", P)], make_plan(), {}).verdict is Decision.PROMOTE
    assert decide([failing], make_plan(), {}).verdict is Decision.HOLD
    assert decide([make_signal("quality/all/tone", P, Tier.ADVISORY)], make_plan(), {}).verdict is Decision.HOLD


def test_a_failing_signal_outside_the_rollback_composite_holds() -> None:
    """What does not roll back still may not be promoted."""
    plan = make_plan(composites={"rollback": {"any": ["quality/*"]}})
    signals = [make_signal("quality/all/pass", P), make_signal("cost/per_request", F)]

    verdict = decide(signals, plan, {})

    assert verdict.verdict is Decision.HOLD
    said = "cost/per_request: cost/per_request is fail; the policy's composite 'rollback' does not fail with it"
    assert verdict.reason == said


def test_a_typo_in_the_rollback_composite_is_named() -> None:
    """Harm that a misspelt glob was to roll back holds, and the reason says which glob nobody goes by."""
    plan = make_plan(composites={"rollback": {"any": ["qualty/*"]}})

    harm = decide([make_signal("quality/all/pass", F)], plan, {})
    none = decide([make_signal("quality/all/pass", P)], plan, {})

    assert (harm.verdict, none.verdict) == (Decision.HOLD, Decision.HOLD)
    assert harm.reason.endswith("does not fail with it: no blocking signal is called 'qualty/*'")
    assert none.reason == "composite 'rollback' is inconclusive: no blocking signal is called 'qualty/*'"


def missing(name: str, kind: str) -> Signal:
    """A signal without evidence."""
    return replace(make_signal(name, U), kind=kind, reason="evidence is missing: why")


def test_a_hold_first_names_what_settings_mend() -> None:
    """A load that was not offered, then missing evidence, then what only more cases settle."""
    few, lost, late = (
        make_signal("quality/a/pass", U),
        missing("quality/b/pass", "quality"),
        missing("load/late", "load"),
    )

    assert decide([few, lost, late], make_plan(), {}).reason == "load/late: evidence is missing: why (and 2 more)"
    assert decide([few, lost], make_plan(), {}).reason == "quality/b/pass: evidence is missing: why (and 1 more)"


def test_what_failed_stands_before_missing_evidence_and_names_it() -> None:
    """Harm that does not roll back is told first, and does not hide a load that was not offered."""
    plan = make_plan(composites={"rollback": {"any": ["quality/*"]}})
    signals = [make_signal("quality/a/pass", P), missing("load/late", "load"), make_signal("cost/per_request", F)]

    reason = decide(signals, plan, {}).reason

    harm = "cost/per_request: cost/per_request is fail (and 1 more, evidence missing for load/late)"
    assert reason == f"{harm}; the policy's composite 'rollback' does not fail with it"


def test_all_needs_every_member_to_fail() -> None:
    """Two latency signals under `all` roll back together, not alone."""
    rule = {"any": ["quality/*", {"all": ["latency/ttft/tm95", "latency/ttft/slow"]}]}
    plan = make_plan(
        composites={"rollback": rule}, false_alarm_rates={"latency/ttft/tm95": 0.02, "latency/ttft/slow": 0.01}
    )
    quality = make_signal("quality/all/pass", P)
    body, slow = make_signal("latency/ttft/tm95", F), make_signal("latency/ttft/slow", F)

    assert decide([quality, body, slow], plan, {}).verdict is Decision.ROLLBACK
    assert decide([quality, body, make_signal("latency/ttft/slow", P)], plan, {}).verdict is Decision.HOLD


def test_all_without_a_measured_false_alarm_rate_is_refused() -> None:
    """The error says why and which line would allow it."""
    with pytest.raises(ValidationError, match=r"records? its measured rate|record its measured rate") as refused:
        Policy.model_validate({"composites": {"rollback": {"any": ["*", {"all": ["latency/ttft/tm95"]}]}}})

    assert "false_alarm_rates: {latency/ttft/tm95: 0.01}" in str(refused.value)


def test_a_composite_over_signals_that_do_not_exist_holds() -> None:
    """A name nobody measured is missing evidence, not a pass."""
    plan = make_plan(composites={"rollback": {"any": ["quality/*", "latency/ttft/tm95"]}})

    assert decide([make_signal("quality/all/pass", P)], plan, {}).verdict is Decision.HOLD


def test_not_turns_a_status_over() -> None:
    """`not` of a passing signal fails; of an inconclusive one stays so."""
    plan = make_plan(composites={"rollback": {"not": "quality/*"}}, false_alarm_rates={"quality/*": 0.01})

    assert decide([make_signal("quality/all/pass", P)], plan, {}).verdict is Decision.ROLLBACK
    assert decide([make_signal("quality/all/pass", U)], plan, {}).verdict is Decision.HOLD


def test_promote_is_produced_in_one_line_of_code() -> None:
    """`Decision.PROMOTE` as a value returned stands once in the whole package."""
    package = Path(__file__).resolve().parent.parent / "canary"
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Return) and node.value is not None and "Decision.PROMOTE" in ast.unparse(node.value)
    ]

    assert len(found) == 1
    assert found[0].startswith("gate.py")
