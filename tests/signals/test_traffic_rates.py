"""The two promises on routed traffic, simulated: ramps, drift, sticky sessions, looks at every event."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from canary.contrast import Contrast, Stream
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, TrafficPlan
from canary.policy import Policy
from canary.records import Scale
from canary.signals.events import count_events, harm_of, safety_of
from canary.signals.levels import final_levels, look_levels
from canary.stats.rates import phased_p, stratified_score

RUNS = 2_000
ALPHA = 0.05
LIMIT = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / RUNS)
RAMP = (0.01, 0.05, 0.25, 0.5)


def plan() -> Plan:
    """Traffic whose shares are known."""
    side = ReleasePlan(name="a", digest="d", release={})
    facts: dict[str, Any] = {
        "stage": "canary",
        "baseline": side,
        "candidate": side,
        "policy": Policy(),
        "suite": Suite(golden_sets=("g",)),
        "strata": (),
        "golden_sha256": "",
        "seed": 0,
        "versions": {},
        "early_stopping": True,
        "traffic": TrafficPlan(open=False),
    }
    return Plan(**facts)


def stream(bad: NDArray[np.bool_], keys: NDArray[np.int64], shares: NDArray[np.float64], per_key: int) -> Stream:
    """One arm: rows (keys, per_key) of bad events, keys in order of time; the phase is the level of the share."""
    rows = np.repeat(np.arange(keys.size), per_key)
    times = (keys[:, None] + np.arange(per_key) / per_key * 5).ravel()
    order = np.argsort(times, kind="stable")
    return Stream(
        values=bad.ravel().astype(float)[order],
        sizes=np.ones(rows.size),
        units=rows[order],
        times=times[order],
        phases=np.searchsorted(np.unique(shares), shares[keys]),
        blocks=np.zeros(keys.size, dtype=np.int64),
        buckets=np.zeros(rows.size, dtype=np.int64),
        shares=shares[keys],
    )


def window(
    rng: np.random.Generator, keys: int, per_key: int, rates: NDArray[np.float64], worse: float = 0.0
) -> Contrast:
    """Keys routed by a ramp; `rates` (keys,) drift, sessions differ, the candidate's are higher by `worse`."""
    shares = np.repeat(RAMP, keys // len(RAMP))
    arm = rng.random(keys) < shares
    frail = rng.gamma(0.5, 2.0, keys) if per_key > 1 else np.ones(keys)
    chance = np.clip(rates * frail + worse * arm, 0, 1)
    bad = rng.random((keys, per_key)) < chance[:, None]
    own = [np.flatnonzero(arm == side) for side in (False, True)]
    base, cand = (stream(bad[numbers], numbers, shares, per_key) for numbers in own)
    return Contrast(
        name="errors/server", kind="errors", stratum="all", metric="server", scale=Scale.PASS_FAIL,
        baseline=base, candidate=cand, sticky=per_key > 1, minutes=60.0, missing=(),
    )  # fmt: skip


def upto(contrast: Contrast, time: float) -> Contrast:
    """What was logged until then."""

    def cut(arm: Stream) -> Stream:
        seen = arm.times <= time
        return replace(
            arm, values=arm.values[seen], sizes=arm.sizes[seen], units=arm.units[seen], times=arm.times[seen],
            buckets=arm.buckets[seen],
        )  # fmt: skip

    return replace(contrast, baseline=cut(contrast.baseline), candidate=cut(contrast.candidate))


@pytest.mark.slow
def test_an_unchanged_candidate_is_rarely_rolled_back() -> None:
    """Sessions of 20, errors that rise tenfold while the share ramps: looks at every event and the final test, 5 %."""
    rng, rules = np.random.default_rng(0), plan()
    rates = np.linspace(0.002, 0.02, 400)
    alarms = np.zeros((RUNS, 2), dtype=bool)
    for run in range(RUNS):
        contrast = window(rng, 400, 20, rates)
        events = count_events(contrast, contrast.baseline.values > 0, contrast.candidate.values > 0)
        alarms[run] = (
            harm_of(events).peak >= math.log(1 / look_levels(rules).rollback),
            phased_p(*events.counts) <= final_levels(rules).rollback,
        )

    assert alarms[:, 0].mean() <= look_levels(rules).rollback + 3 * np.sqrt(0.01 * 0.99 / RUNS)
    assert alarms.any(axis=1).mean() <= LIMIT
    assert alarms[:, 1].mean() >= 0.005, "a test that never alarms tests nothing"


@pytest.mark.slow
def test_a_candidate_at_its_margin_is_rarely_promoted() -> None:
    """Two points worse at a margin of two, rates that drift along the ramp: two looks and the final test, 5 %."""
    rng, rules = np.random.default_rng(1), plan()
    rates = np.linspace(0.005, 0.03, 1_200)
    passes = np.zeros((RUNS, 2), dtype=bool)
    for run in range(RUNS):
        contrast = window(rng, 1_200, 1, rates, worse=0.02)
        for end in (800, 1_200):
            part = upto(contrast, end)
            events = count_events(part, part.baseline.values > 0, part.candidate.values > 0)
            passes[run, 0] |= safety_of(events, 0.02, rules) is not None
        passes[run, 1] = special.ndtr(stratified_score(*events.counts, 0.02)) < final_levels(rules).promote

    assert passes.any(axis=1).mean() <= LIMIT
    assert passes[:, 1].mean() >= 0.01, "a test that never passes tests nothing"


@pytest.mark.slow
def test_doubled_errors_are_found() -> None:
    """3 % against 6 % on the ramp, 8,000 requests: looks find it in half of the windows, looks and the end in 90 %."""
    rng, rules = np.random.default_rng(2), plan()
    rates = np.full(8_000, 0.03)
    found = np.zeros((300, 2), dtype=bool)
    for run in range(300):
        contrast = window(rng, 8_000, 1, rates, worse=0.03)
        events = count_events(contrast, contrast.baseline.values > 0, contrast.candidate.values > 0)
        found[run] = (
            harm_of(events).peak >= math.log(1 / look_levels(rules).rollback),
            phased_p(*events.counts) <= final_levels(rules).rollback,
        )

    assert found[:, 0].mean() >= 0.5
    assert found.any(axis=1).mean() >= 0.9
