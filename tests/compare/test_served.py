"""Cached tokens and objectives of whole requests, paired."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Canary = Callable[..., Any]
Row = dict[str, Any]
CASES = 150
ANSWER = {"output": "x", "scores": {"ok": True}}


@pytest.fixture
def compare(canary: Canary, write_lines: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    """`compare(baseline, candidate, policy=...)`: fields of the answer to case i, by arm."""

    def run(baseline: Callable[[int], Row], candidate: Callable[[int], Row], policy: str = "version: 1\n") -> Any:
        files = [
            write_lines(
                f"{name}.jsonl", [{"id": f"c{i}", "output": "x", "scores": {"ok": True}} | row(i) for i in range(CASES)]
            )
            for name, row in (("baseline", baseline), ("candidate", candidate))
        ]
        (tmp_path / "policy.yaml").write_text(policy)
        return canary("compare", *files, "--policy", tmp_path / "policy.yaml", "--json")

    return run


def cached(tokens: int) -> Callable[[int], Row]:
    """Every prompt of 100 tokens, so many of them from the cache."""
    return lambda _: {"input_tokens": 100, "cached_tokens": tokens}


def test_a_cold_cache_rolls_back(compare: Callable[..., Any]) -> None:
    """From 60 % to 30 % of each prompt is beyond 10 points; what it was is shown."""
    ran = compare(cached(60), cached(30))
    signal = ran.signal("cache/hit_rate")

    assert ran.status == 1
    assert (signal["status"], signal["margin"]) == ("fail", 0.1)
    assert (signal["baseline"], signal["candidate"]) == pytest.approx((0.6, 0.3))


def test_a_warm_cache_passes(compare: Callable[..., Any]) -> None:
    """Five points less are shown to be inside ten, and said to be a loss."""
    signal = compare(cached(60), lambda i: cached(54 + i % 3)(i)).signal("cache/hit_rate")

    assert signal["status"] == "pass"
    assert "a real loss, though within tolerance" in signal["warnings"][0]


def test_no_cache_is_no_signal_unless_the_policy_asks(compare: Callable[..., Any]) -> None:
    """A server without a prefix cache has no hit rate; a policy that names it holds."""
    names = {signal["name"] for signal in compare(cached(0), cached(0)).verdict["signals"]}
    asked = compare(lambda _: {}, lambda _: {}, "cache: {hit_rate: {max_drop: 0.05}}\n")

    assert "cache/hit_rate" not in names
    assert asked.status == 3
    assert "150 of 150 baseline responses do not say how much of the prompt was cached" in asked.verdict["reason"]


def test_one_arm_that_does_not_say_holds(compare: Callable[..., Any]) -> None:
    """A candidate without counts may have lost its cache."""
    ran = compare(cached(60), lambda i: cached(60)(i) if i else {"input_tokens": 100})

    assert ran.status == 3
    assert "1 of 150 candidate responses do not say how much" in ran.verdict["reason"]


GOODPUT = (
    "goodput: {ttft_s: 0.5, tpot_s: 0.05, max_drop: 0.05}\nlatency: {ttft: {slow: null, tm95: null, tm99: null}}\n"
)


def timed(late: int, slow: int = 0) -> Callable[[int], Row]:
    """The first `late` answers begin late, the last `slow` have slow tokens."""
    return lambda i: {
        "ttft_s": 0.9 if i < late else 0.2,
        "tpot_s": 0.09 if i >= CASES - slow else 0.02,
        "output_tokens": 20,
    }


def test_requests_that_keep_every_objective(compare: Callable[..., Any]) -> None:
    """Late beginnings and slow tokens both count; each request once."""
    ran = compare(timed(0), timed(15, 15), GOODPUT)
    signal = ran.signal("goodput/requests")

    assert (signal["status"], signal["baseline"], signal["candidate"]) == ("fail", 1.0, 0.8)
    assert signal["method"].startswith("McNemar")
    assert compare(timed(3), timed(3), GOODPUT).signal("goodput/requests")["status"] == "pass"


def test_failures_keep_no_objective_and_single_tokens_have_no_gap(compare: Callable[..., Any]) -> None:
    """A server's fault misses; an answer of one token is judged by its first."""
    failed = {"error": {"kind": "server", "message": "502"}}
    one = {"ttft_s": 0.2, "output_tokens": 1, "tpot_s": None}
    ran = compare(timed(0), lambda i: failed if i < 15 else timed(0)(i) | (one if i > 100 else {}), GOODPUT)

    assert ran.signal("goodput/requests")["candidate"] == pytest.approx(0.9)


def test_a_time_that_is_missing_holds(compare: Callable[..., Any]) -> None:
    """Whether an answer without a time kept the objective is not known."""
    ran = compare(timed(0), lambda i: timed(0)(i) | ({"ttft_s": None} if i == 7 else {}), GOODPUT)

    assert ran.status == 3
    assert (
        "1 of 150 candidate responses lack a time that the objective needs (ttft_s, tpot_s)"
        in ran.signal("goodput/requests")["reason"]
    )


def test_two_tokens_have_a_gap(compare: Callable[..., Any]) -> None:
    """Where nobody watched the second one come, leaving out its time hides no stall."""
    stalled = {"ttft_s": 0.2, "total_s": 30.0, "output_tokens": 2, "tpot_s": None}
    ran = compare(timed(0), lambda i: timed(0)(i) | (stalled if i > 100 else {}), GOODPUT)

    assert ran.status == 3
    assert "49 of 150 candidate responses lack a time" in ran.signal("goodput/requests")["reason"]


def test_goodput_without_objectives_is_refused(compare: Callable[..., Any]) -> None:
    """An empty objective would be kept by all."""
    ran = compare(timed(0), timed(0), "goodput: {max_drop: 0.05}\n")

    assert ran.status == 2
    assert "'goodput' must give at least one of 'ttft_s', 'tpot_s', 'e2el_s'" in ran.err
