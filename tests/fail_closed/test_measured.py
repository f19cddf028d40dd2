"""Nothing unknown promotes: prices and times that one arm or some lines do not have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fail_closed.conftest import CASES, Bench, assert_holds


@pytest.mark.parametrize("arm", ["baseline", "candidate"])
def test_prices_missing_in_one_arm_hold(bench: Bench, arm: str) -> None:
    """Cost that only one arm carries is missing evidence."""
    for row in getattr(bench, arm):
        row["cost_usd"] = 0.01

    assert_holds(bench.compare(), "carry no cost")


def test_cost_gated_without_prices_holds(bench: Bench) -> None:
    """A policy that names cost must be given costs."""
    bench.policy = "cost: {per_request: {max_ratio: 1.1}}\n"

    assert_holds(bench.compare(), "carry no cost: give 'cost_usd', or the release a 'price'")


@pytest.mark.parametrize("arm", ["baseline", "candidate"])
def test_latency_in_one_arm_holds(bench: Bench, arm: str) -> None:
    """Times that only one arm carries are missing evidence."""
    for row in getattr(bench, arm):
        row["ttft_s"] = 0.2

    assert_holds(bench.compare(), "carry no ttft time")


def test_latency_on_some_lines_holds(bench: Bench) -> None:
    """A fast arm must not be fast by leaving the slow times out."""
    for row in bench.both:
        row["ttft_s"] = 0.2
    del bench.candidate[5]["ttft_s"]

    assert_holds(bench.compare(), "1 of 120 candidate responses carry no ttft time")


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ("total: {tm95: {max_ratio: 1.2, tier: blocking}}", "carry no total time"),
        ("itl: {tm95: null, tm99: null, slow: {max_increase: 0.05}}", "carry no tpot time"),
    ],
)
def test_latency_gated_without_times_holds(bench: Bench, rules: str, missing: str) -> None:
    """A policy that names any latency must be given times, whichever of its rules are on."""
    bench.policy = f"latency: {{{rules}}}\n"

    assert_holds(bench.compare(), missing)


@pytest.mark.parametrize(
    ("lengths", "missing"),
    [
        (
            (None, None),
            "record 'output_tokens', since totals are compared only between answers of about the same length",
        ),
        ((10, 100), "no pair's answers are of about the same length"),
    ],
)
def test_totals_without_equal_lengths_hold(bench: Bench, lengths: tuple[int | None, int | None], missing: str) -> None:
    """Total times of answers that cannot be matched by length are missing evidence, and it is said why."""
    bench.policy = "latency: {total: {tm95: {max_ratio: 1.2, tier: blocking}}}\n"
    for arm, tokens in zip((bench.baseline, bench.candidate), lengths, strict=True):
        for row in arm:
            row.update({"total_s": 1.0} if tokens is None else {"total_s": 1.0, "output_tokens": tokens})

    assert_holds(bench.compare(), missing)


def test_mean_gaps_are_not_compared_with_gaps(bench: Bench) -> None:
    """Half as slow again must not pass because one arm kept gaps and the other their mean."""
    for i, (one, other) in enumerate(zip(bench.baseline, bench.candidate, strict=True)):
        one["itl_s"] = [0.05] * 100 if i % 2 else [0.01] * 2
        other["tpot_s"] = 0.075 if i % 2 else 0.015

    ran = bench.compare()

    assert ran.status != 0
    assert ran.signal("latency/itl/tm95")["estimate"] == pytest.approx(1.5)


def test_answers_of_many_tokens_without_gaps_hold(bench: Bench) -> None:
    """An empty list of gaps is undefined for one token; twenty come in one piece now and then, not in a row."""
    for row in bench.both:
        row["output_tokens"], row["itl_s"] = 20, [0.05] * 19
        row["ttft_s"], row["total_s"] = 1.0, 1.95
    for row in bench.candidate[:7]:
        row["total_s"] = 1.0
    for row in bench.candidate[:6]:
        row["itl_s"] = []
    by_chance = bench.compare()
    bench.candidate[6]["itl_s"] = []

    assert by_chance.signal("latency/itl/tm95")["status"] == "pass"
    why = "7 of 120 candidate responses carry no itl time; the tokens of 7 came in one piece, which no more than 5% may"
    assert_holds(bench.compare(), why)


def test_an_answer_that_stalls_without_gaps_holds(bench: Bench) -> None:
    """What ends half a minute after its first token did not come in one piece: its gaps were left out."""
    for row in bench.both:
        row["output_tokens"], row["itl_s"] = 20, [0.05] * 19
        row["ttft_s"], row["total_s"] = 1.0, 1.95
    bench.candidate[4] |= {"itl_s": [], "total_s": 31.0}

    assert_holds(bench.compare(), "1 of 120 candidate responses carry no itl time")


@pytest.mark.parametrize("gaps", ["both", "candidate"])
def test_a_tail_that_no_gap_shows_is_slow(bench: Bench, gaps: str) -> None:
    """What ends three seconds after its last gap says so in its mean time between tokens, and that is believed."""
    for row in bench.both:
        row["output_tokens"], row["itl_s"], row["tpot_s"] = 20, [0.05] * 19, 0.05
        row["ttft_s"], row["total_s"] = 1.0, 1.95
    for row in bench.candidate:
        row["tpot_s"], row["total_s"] = 0.21, 5.0
    for row in bench.baseline:
        row["itl_s"] = row["itl_s"] if gaps == "both" else None

    ran = bench.compare()

    assert ran.status == 1
    assert ran.signal("latency/itl/slow")["status"] == "fail"


@pytest.mark.parametrize(
    "said",
    [
        *({"itl_s": [0.01] * 99, "output_tokens": tokens} for tokens in (None, 1, 100, 10_000)),
        {"tpot_s": 0.01},
        {"itl_s": [0.01] * 99, "tpot_s": 0.01},
    ],
)
def test_times_that_contradict_each_other_promote_nobody(bench: Bench, said: dict[str, Any]) -> None:
    """Gaps that add up to a second between the first token and an end six seconds later leave five out.

    However many tokens, if any, the answer says it had.
    """
    for row in bench.both:
        row.update({"ttft_s": 0.2, "output_tokens": 100, "total_s": 1.2} | said)
    for row in bench.candidate:
        row["total_s"] = 6.2

    ran = bench.compare()

    assert (ran.status, ran.signal("latency/itl/mean")["status"]) == (1, "fail")
    assert ran.signal("latency/itl/mean")["candidate"] == pytest.approx(6 / 99)


@pytest.mark.parametrize("gaps", [[2.0, *[0.01] * 198], [0.01] * 198 + [2.0], [0.01] * 99 + [2.0] + [0.01] * 99])
def test_a_pause_in_every_answer_is_seen(bench: Bench, gaps: list[float]) -> None:
    """One pause of seconds, first, last or midway, is one of 199 gaps, and doubles the time of the answer."""
    for row in bench.both:
        row["ttft_s"], row["output_tokens"], row["itl_s"] = 0.2, 200, [0.01] * 199
    for row in bench.candidate:
        row["itl_s"] = gaps

    ran = bench.compare()

    assert ran.status == 1
    assert ran.signal("latency/itl/tm95")["status"] == "pass"
    assert ran.signal("latency/itl/mean")["estimate"] == pytest.approx(2, abs=0.01)


def test_tokens_held_back_for_one_burst_are_seen(bench: Bench) -> None:
    """A candidate that sends one token, and all others at the end, has next to no gaps and takes twice as long."""
    for row in bench.both:
        row["ttft_s"], row["output_tokens"], row["itl_s"] = 0.2, 100, [0.02] * 99
    for row in bench.candidate:
        row["itl_s"] = [4.0, *[0.0] * 98]

    ran = bench.compare()

    assert (ran.status, ran.signal("latency/itl/mean")["status"]) == (1, "fail")
    assert ran.signal("latency/itl/tm95")["estimate"] == 0


def test_the_body_of_gaps_is_the_rule_of_mean_gaps(bench: Bench) -> None:
    """One rule bounds both, so a policy that loosens or drops it does so for both."""
    for row in bench.both:
        row["output_tokens"], row["itl_s"] = 100, [0.02] * 99
    for row in bench.candidate:
        row["itl_s"] = [0.03] * 99
    bench.policy = "latency: {itl: {tm95: {max_ratio: 1.6}, tm99: null, slow: {max_increase: 0.05}}}\n"
    loosened = bench.compare()
    bench.policy = bench.policy.replace("{max_ratio: 1.6}", "null")

    assert (loosened.status, loosened.signal("latency/itl/mean")["margin"]) == (0, pytest.approx(1.6))
    assert {signal["name"] for signal in bench.compare().verdict["signals"] if "itl" in signal["name"]} == {
        "latency/itl/slow"
    }


@pytest.mark.parametrize("kind", ["throttled", "server"])
def test_a_candidate_that_turns_requests_away_once_is_seen(bench: Bench, kind: str) -> None:
    """A second try made all of them good, and no time is of the first."""
    for row in bench.both:
        row["ttft_s"], row["attempts"] = 0.2, [{"seconds": 0.3}]
    for row in bench.candidate[:40]:
        row["attempts"] = [{"seconds": 30.0, "error": {"kind": kind, "message": "later"}}, {"seconds": 0.3}]

    ran = bench.compare()

    first = ran.signal("errors/first_try")
    assert (ran.status, ran.signal("errors/server")["status"], first["status"]) == (1, "pass", "fail")
    assert (first["baseline"], first["candidate"]) == (0, pytest.approx(40 / CASES))
    assert first["warnings"] == ["40 candidate answers are of a second try, and so are their times"]


def test_requests_that_both_arms_turned_away_once_are_no_difference(bench: Bench) -> None:
    """Both met the same busy hour; a try that failed as often in both holds nobody."""
    for row in [*bench.baseline[:9], *bench.candidate[:9]]:
        row["attempts"] = [{"seconds": 0.1, "error": {"kind": "throttled", "message": "later"}}, {"seconds": 0.3}]

    ran = bench.compare()

    assert (ran.status, ran.signal("errors/first_try")["status"]) == (0, "pass")


def test_a_field_that_a_server_does_not_take_is_no_failed_try(bench: Bench) -> None:
    """The engine asks again without it; that first try was ours, and nothing is measured by it."""
    for row in bench.candidate:
        row["attempts"] = [{"seconds": 0.1, "error": {"kind": "client", "message": "seed"}}, {"seconds": 0.3}]

    ran = bench.compare()

    assert ran.status == 0
    assert "errors/first_try" not in {signal["name"] for signal in ran.verdict["signals"]}


def test_one_visible_token_has_no_gap(bench: Bench) -> None:
    """Servers count the end of an answer as a token: two tokens without a gap are one word, and no evidence lacks."""
    for row in bench.both:
        row["output_tokens"], row["itl_s"] = 20, [0.05] * 19
    for row in (*bench.baseline[:4], *bench.candidate[:4]):
        row["output_tokens"], row["itl_s"] = 2, []

    gap = bench.compare().signal("latency/itl/tm95")

    assert (gap["status"], gap["n"]) == ("pass", 116)
