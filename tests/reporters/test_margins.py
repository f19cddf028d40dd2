"""Which margins the evidence of a hold supports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from canary.policy import Policy
from canary.records import Decision, Signal, Status, Tier, Verdict
from canary.reporters.margins import needs_sign_off, policy_lines

MakeSignal = Callable[..., Signal]
MakeVerdict = Callable[..., Verdict]
RATIO: dict[str, Any] = {"effect": "ratio", "stratum": "all", "margin": 1.1}


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({"low": -0.0421}, {"quality": {"max_drop": 0.043}}),
        ({"low": -0.042}, {"quality": {"max_drop": 0.043}}),
        ({"low": -0.1415, "stratum": "math", "margin": 0.1}, {"quality": {"stratum": {"max_drop": 0.142}}}),
        ({"low": -0.061, "stratum": "code", "margin": 0.05}, {"quality": {"critical": {"max_drop": 0.062}}}),
        (
            {"kind": "errors", "name": "errors/server", "high": 0.0333, "margin": 0.03},
            {"errors": {"server": {"max_increase": 0.034}}},
        ),
        (
            {"kind": "latency", "name": "latency/ttft/slow", "high": 0.0333, "margin": 0.02},
            {"latency": {"ttft": {"slow": {"max_increase": 0.034}}}},
        ),
        (
            {"kind": "latency", "name": "latency/ttft/p99.9", "high": 1.2399, **RATIO},
            {"latency": {"ttft": {"p99.9": {"max_ratio": 1.24}}}},
        ),
        (
            {"kind": "cost", "name": "cost/per_request", "high": 1.1, **RATIO},
            {"cost": {"per_request": {"max_ratio": 1.101}}},
        ),
        (
            {"kind": "floor", "metric": "tone", "baseline": 0.8, "low": -0.0211, "margin": 0.0},
            {"quality": {"metrics": {"tone": {"min_score": 0.778}}}},
        ),
    ],
)
def test_offer(
    make_signal: MakeSignal, make_verdict: MakeVerdict, fields: dict[str, Any], offered: dict[str, Any]
) -> None:
    """The interval's harmful end, rounded outwards, where the policy file sets it."""
    policy = Policy.model_validate({"quality": {"critical": {"strata": ["code"]}}})
    signal = make_signal(status=Status.INCONCLUSIVE, **fields)

    assert yaml.safe_load(policy_lines(make_verdict(Decision.HOLD, signal), policy)) == offered
    Policy.model_validate(offered)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": Status.PASS},
        {"status": Status.FAIL},
        {"tier": Tier.ADVISORY},
        {"low": None},
        {"low": -1.0},
        {"n": 9},
        {"reason": "evidence is missing: 3 of 60 cases have no candidate response"},
        {"low": -0.02, "estimate": -0.015},
        {"kind": "drift", "name": "drift/embedding", "high": 0.3},
        {"kind": "floor", "baseline": 0.1, "low": -0.1, "margin": 0.0},
        {"kind": "cost", "name": "cost/per_request", "effect": "ratio", "high": 100.0, "margin": 1.1},
    ],
)
def test_no_offer(make_signal: MakeSignal, make_verdict: MakeVerdict, fields: dict[str, Any]) -> None:
    """Nothing is offered where no margin would settle it, or none is allowed."""
    signal = make_signal(**{"status": Status.INCONCLUSIVE, "low": -0.2} | fields)

    assert policy_lines(make_verdict(Decision.HOLD, signal), Policy()) == ""


def test_shared_margin_is_wide_enough_for_all(make_signal: MakeSignal, make_verdict: MakeVerdict) -> None:
    """Strata share a margin, so that the widest need sets it."""
    signals = [
        make_signal(status=Status.INCONCLUSIVE, name=f"quality/{s}/pass", stratum=s, low=low, margin=0.1)
        for s, low in (("a", -0.12), ("b", -0.19), ("c", -0.15))
    ]

    assert policy_lines(make_verdict(Decision.HOLD, *signals), Policy()) == (
        "quality:\n  stratum:\n    max_drop: 0.191\n"
    )


def test_lines_are_ascii(make_signal: MakeSignal, make_verdict: MakeVerdict) -> None:
    """A hostile metric name stands in the lines as an escape."""
    signal = make_signal(
        status=Status.INCONCLUSIVE, kind="floor", metric="\u202e\x1b]0;x\ud800", baseline=0.8, low=-0.1, margin=0.0
    )
    lines = policy_lines(make_verdict(Decision.HOLD, signal), Policy())

    assert lines.isascii()
    assert lines.replace("\n", "").isprintable()


def test_sign_off(make_signal: MakeSignal) -> None:
    """An inconclusive signal inside its margin waits for a person."""
    assert needs_sign_off(make_signal(status=Status.INCONCLUSIVE, low=-0.02))
    assert needs_sign_off(make_signal(status=Status.INCONCLUSIVE, effect="ratio", kind="cost", high=1.05, margin=1.1))
    assert not needs_sign_off(make_signal(status=Status.INCONCLUSIVE, low=-0.04))
    assert not needs_sign_off(make_signal(status=Status.INCONCLUSIVE, low=None))
    assert not needs_sign_off(make_signal(status=Status.PASS))
