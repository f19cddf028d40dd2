"""Recorded costs: those of tokens, and those that are times and say so by nothing but their sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Canary = Callable[..., Any]
CASES = 400
DOLLARS_A_SECOND = 0.0002
rng = np.random.default_rng(3)
TIMES = rng.lognormal(0, 0.5, CASES)
SPELLS = np.tile(np.repeat([1.0, 1.4, 0.8, 1.2, 0.8], 20), 4)
"""How slow the candidate was: of 400 cases it makes 1.04 times the time."""


@pytest.fixture
def compare(canary: Canary, write_lines: Callable[..., Path]) -> Callable[..., Any]:
    """`compare(baseline, candidate)`: costs by case; `seconds` are their times, `clocks` how many have one."""

    def run(*costs: Any, seconds: Any = None, clocks: int = CASES, apart: float = 0.0) -> Any:
        files = []
        for name, of_arm, times in zip("bc", costs, seconds or costs, strict=True):
            rows = [
                {"id": f"c{i:03d}", "output": "x", "scores": {"ok": True}, "cost_usd": cost, "total_s": float(took)}
                | ({"started_at": i + apart * (name == "c")} if i < clocks else {})
                for i, (cost, took) in enumerate(zip(of_arm, times, strict=True))
            ]
            files.append(write_lines(f"{name}.jsonl", rows))
        return canary("compare", *files, "--json").signal("cost/per_request")

    return run


def by_the_second(times: Any, *, digits: int = 17) -> list[float]:
    """Times at one price, rounded."""
    return [round(float(time) * DOLLARS_A_SECOND, digits) for time in times]


BASELINE, CANDIDATE = TIMES * rng.lognormal(0, 0.02, CASES), TIMES * SPELLS
HOURLY = by_the_second(BASELINE), by_the_second(CANDIDATE)
SECONDS = (BASELINE, CANDIDATE)


def test_recorded_costs_that_are_times(compare: Callable[..., Any]) -> None:
    """Of an unchanged candidate that was slow for a while single pairs would tell harm; twenty stretches do not."""
    signal = compare(*HOURLY, seconds=SECONDS)

    assert "over 20 stretches of time" in signal["method"]
    assert signal["status"] == "inconclusive"
    assert signal["p_harm"] > 0.05


def test_rounding_hides_no_price(compare: Callable[..., Any]) -> None:
    """A tenth of a thousandth of a cent is still the same price a second."""
    rounded = [by_the_second(times, digits=6) for times in SECONDS]

    assert "over 20 stretches of time" in compare(*rounded, seconds=SECONDS)["method"]


def test_costs_of_nobody_knows_when(compare: Callable[..., Any]) -> None:
    """Without a clock there are no stretches: missing evidence, and the line that lets it decide nothing."""
    for clocks in (0, CASES - 1):
        signal = compare(*HOURLY, seconds=SECONDS, clocks=clocks)

        assert signal["status"] == "inconclusive"
        assert f"{CASES - clocks} of {CASES} pairs carry no 'started_at'" in signal["reason"]
        assert "'cost: {per_request: {tier: advisory}}'" in signal["reason"]


def test_costs_of_different_moments_say_so(compare: Callable[..., Any]) -> None:
    """As latencies do: what slowed one recording is no difference of the two."""
    signal = compare(*HOURLY, seconds=SECONDS, apart=10_000.0)

    assert any("the arms were recorded at different times" in warning for warning in signal["warnings"])


@pytest.mark.parametrize("clocks", [0, CASES])
def test_costs_of_tokens_are_pairs(compare: Callable[..., Any], clocks: int) -> None:
    """What an answer costs by its tokens does not hang together in time, even where it took its time too."""
    rng = np.random.default_rng(4)
    tokens = rng.integers(20, 200, CASES)
    prices = [float(count) * 1e-5 for count in tokens]
    seconds = tokens * 0.01 * rng.lognormal(0, 0.05, CASES) + 0.1

    signal = compare(prices, prices, seconds=(seconds, seconds), clocks=clocks)

    assert signal["status"] == "pass"
    assert "stretches" not in signal["method"]


def test_one_price_for_every_answer_is_none_by_the_second(compare: Callable[..., Any]) -> None:
    """Where neither costs nor times vary nothing says that one is the other."""
    signal = compare([0.001] * CASES, [0.001] * CASES, seconds=(np.ones(CASES), np.ones(CASES)), clocks=0)

    assert signal["status"] == "pass"


@pytest.mark.parametrize(("cost", "seconds"), [(5e-324, 86_400.0), (1e6, 5e-324)])
def test_prices_that_no_number_holds(compare: Callable[..., Any], cost: float, seconds: float) -> None:
    """The smallest costs of the longest times, and the reverse, are no price by the second, and break nothing."""
    signal = compare([cost] * CASES, [cost] * CASES, seconds=([seconds] * CASES, [seconds] * CASES), clocks=0)

    assert "costs are times here" not in signal["reason"]
