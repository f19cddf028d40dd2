"""A measured bench, held against what each signal claims, on the pure path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from canary.calibration import Calibration, Noise, Usage
from canary.records import Decision, Scale, Signal, Status
from canary.stats.noise import noise_margin
from canary.stats.power import tango_power
from canary.stats.rates import conditional_p

Judge = Callable[..., Any]
Find = Callable[..., Signal]


def measured(*, verdict: Decision = Decision.PROMOTE, **facts: float) -> Calibration:
    """A calibration of `pass`, all strata together."""
    noise = {"n": 400, "discordance": 0.0, "spread": 0.0, "within": 0.0} | facts
    return Calibration(
        schema="canary-gate/noise/1",
        baseline="b" * 64,
        golden="a" * 64,
        scoring="c" * 64,
        repeat=1,
        verdict=verdict,
        reason="quality/all/pass: it moved",
        noise=(Noise(metric="pass", stratum="all", **noise),),
        latency=(),
        similar=(),
        usage=Usage(input_tokens=None, output_tokens=None, total_s=None),
    )


def arms(n: int, each: int) -> tuple[Any, Any]:
    """Results of which `each` are lost and as many won."""
    base, cand = np.ones(n), np.ones(n)
    base[:each], cand[each : 2 * each] = 0, 0
    return base, cand


def test_the_chance_in_the_warning_is_the_exact_one(judge: Judge, find: Find) -> None:
    """Twelve percent discordance over 200 pairs passes 3 points about one time in four."""
    signal = find(judge(*arms(200, 12), calibration=measured(discordance=0.12, spread=0.35)), "quality/all/pass")

    chance = tango_power(200, 0.12, 0.0, 0.03, 0.05)
    assert 0.2 < chance < 0.5
    assert signal.warnings == (
        f"an unchanged release would pass this margin only {chance:.0%} of the time at the measured discordance 12%",
    )


def test_scores_are_judged_by_their_spread(judge: Judge, find: Find) -> None:
    """A bounded score has no discordant pairs; its measured spread says what a margin can hold."""
    rng = np.random.default_rng(0)
    base, cand = rng.random(200), rng.random(200)

    def warnings(spread: float) -> tuple[str, ...]:
        calibration = measured(discordance=1.0, spread=spread)
        return find(judge(base, cand, scale=Scale.BOUNDED, calibration=calibration), "quality/all/pass").warnings

    assert warnings(0.01) == ()
    assert "at the measured spread 0.41" in warnings(0.41)[0]


def test_a_wide_margin_is_not_warned_about(judge: Judge, find: Find) -> None:
    """Two percent over 400 pairs leave room for 3 points."""
    signal = find(judge(*arms(400, 4), calibration=measured(discordance=0.02, spread=0.14)), "quality/all/pass")

    assert signal.warnings == ()
    assert noise_margin(0.02, 400, 0.05) < 0.03


def test_a_silent_bench_warns_of_nothing(judge: Judge, find: Find) -> None:
    """Deterministic releases have no noise; ten pairs are few for other reasons."""
    assert find(judge(*arms(12, 0), calibration=measured()), "quality/all/pass").warnings == ()


def test_an_unstable_bench_says_why_everywhere(judge: Judge) -> None:
    """No blocking signal decides, for or against."""
    verdict = judge(np.ones(200), np.zeros(200), calibration=measured(verdict=Decision.ROLLBACK))

    assert verdict.verdict is Decision.HOLD
    assert {signal.status for signal in verdict.signals} == {Status.INCONCLUSIVE}
    assert all("the bench is not stable" in signal.reason and "it moved" in signal.reason for signal in verdict.signals)


def test_an_a_a_hold_is_no_rollback(judge: Judge) -> None:
    """A bench too small to promote itself is not unstable."""
    assert judge(*arms(400, 4), calibration=measured(verdict=Decision.HOLD)).verdict is Decision.PROMOTE


@pytest.mark.slow
def test_suspicion_is_rarely_wrong() -> None:
    """Arms as noisy as the bench are suspected in at most 0.1 % of 20,000 runs."""
    rng = np.random.default_rng(3)
    here, there = rng.binomial(300, 0.1, 20_000), rng.binomial(240, 0.1, 20_000)

    share = float(np.mean(conditional_p(here, 300, there, 240) < 0.001))

    assert share <= 0.001 + 3 * (0.001 / 20_000) ** 0.5
