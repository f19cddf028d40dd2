"""Two streams of routed traffic: what promotes, and what rolls back, at the end and at a look."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.traffic.conftest import Bench, Canary, Row, traffic


def test_equal_arms_are_promoted(bench: Bench) -> None:
    """Otherwise the tests below could not fail; n is the smaller arm's and the stage is `canary`."""
    ran = bench.compare()

    assert ran.status == 0, ran.verdict["reason"]
    assert ran.verdict["stage"] == "canary"
    assert ran.signal("errors/server")["n"] == min(len(bench.baseline), len(bench.candidate))
    names = {signal["name"] for signal in ran.verdict["signals"]}
    assert names >= {
        "quality/all/helpful",
        "latency/ttft/tm95",
        "latency/ttft/slow",
        "cost/per_request",
        "cost/per_token",
    }
    assert {s["tier"] for s in ran.verdict["signals"] if s["name"] == "cost/per_token"} == {"advisory"}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"errors": (0.002, 0.03)}, "errors/server"),
        ({"slower": 1.4}, "latency/ttft/tm95"),
        ({"dearer": 1.3}, "cost/per_request"),
        ({"passes": (0.95, 0.85)}, "quality/all/helpful"),
    ],
    ids=["errors", "latency", "cost", "quality"],
)
def test_harm_rolls_back(bench: Bench, change: Row, name: str) -> None:
    """Each kind of damage is found and named."""
    ran = bench.take(traffic(share=(0.2,), **change)).compare()

    assert ran.status == 1
    assert ran.signal(name)["status"] == "fail"


@pytest.mark.parametrize("options", [(), ("--look",)], ids=["closed", "look"])
def test_line_order_changes_no_byte(bench: Bench, options: tuple[str, ...]) -> None:
    """Logs are merged from many machines: shuffled lines give the same document."""
    bench.take(traffic(2_000, share=(0.1, 0.5), sticky=4, errors=(0.01, 0.03)))
    one = bench.compare(*options).out
    for rows in (bench.baseline, bench.candidate):
        random.Random(1).shuffle(rows)

    assert bench.compare(*options).out == one


def test_swapped_arms_mirror_every_interval(bench: Bench) -> None:
    """Differences change sign, ratios invert, once the shares are those of the other arm."""
    one = bench.compare().verdict["signals"]
    bench.take([bench.candidate, bench.baseline])
    for row in bench.both:
        row["share"] = 1 - row["share"]
    other = {signal["name"]: signal for signal in bench.compare().verdict["signals"]}

    for signal in one:
        if signal["metric"] in {"slow", "tm95", "tm99"}:
            continue  # the baseline's median says what is slow, and its floor is seconds
        swapped = other[signal["name"]]
        low, high = signal["low"], signal["high"]
        mirrored = (1 / high, 1 / low) if signal["effect"] == "ratio" else (-high, -low)
        assert (swapped["low"], swapped["high"]) == pytest.approx(mirrored, abs=1e-9)


def test_a_ramp_through_a_bad_hour_is_no_harm(bench: Bench) -> None:
    """The candidate got most of its traffic when errors were up; within each level of the share both are alike."""
    calm, storm = (
        traffic(4_000, share=(0.02,), errors=(0.002, 0.002)),
        traffic(4_000, share=(0.5,), seed=1, errors=(0.05, 0.05)),
    )
    for row in (*storm[0], *storm[1]):
        row["id"], row["started_at"] = f"x{row['id']}", row["started_at"] + 3_600
    ran = bench.take([calm[0] + storm[0], calm[1] + storm[1]]).compare()
    rate = [sum("error" in row for row in rows) / len(rows) for rows in (bench.baseline, bench.candidate)]

    assert rate[1] > 1.5 * rate[0]
    assert ran.signal("errors/server")["status"] != "fail"


def test_a_session_counts_once(bench: Bench) -> None:
    """A session that fails twenty times is one bad event, and one unit."""
    arms = traffic(4_000, sticky=20)
    broken = arms[1][0]["session"]
    for row in arms[1]:
        if row["session"] == broken:
            row["error"] = {"kind": "server"}
    signal = bench.take(arms).compare().signal("errors/server")
    sessions = {row["session"] for row in arms[1]}
    failed = {row["session"] for row in arms[1] if "error" in row}

    assert signal["candidate"] == pytest.approx(len(failed) / len(sessions))
    assert "sessions an arm" in signal["reason"] or signal["n"] <= len(sessions)


def test_looking_finds_harm_early_and_promotes_nothing_it_cannot_prove(bench: Bench) -> None:
    """A look rolls back on an e-process; equal arms with a latency signal are held until the window is closed."""
    ran = bench.take(traffic(2_000, errors=(0.01, 0.15))).compare("--look")
    assert ran.status == 1
    assert "e-process" in ran.signal("errors/server")["method"]

    ran = bench.take(traffic()).compare("--look")
    assert ran.status == 3
    assert "one look, at the end" in ran.signal("latency/ttft/tm95")["reason"]


def test_looking_promotes_where_everything_is_proven(bench: Bench) -> None:
    """Errors alone, none of them in 6,000: the confidence sequences exclude half a point at any time."""
    for row in bench.both:
        for key in ("ttft_s", "output_tokens", "cost_usd", "scores", "error"):
            row.pop(key, None)
    ran = bench.compare("--look")

    assert ran.status == 0, ran.verdict["reason"]


def test_a_look_along_a_ramp_subtracts_no_mixed_rates(bench: Bench) -> None:
    """Where the split changed, both rates are told with their sequences, and no interval contradicts the estimate."""
    signal = bench.take(traffic(4_000, share=(0.1, 0.5), errors=(0.02, 0.02))).compare("--look").signal("errors/server")
    assert (signal["low"], signal["high"]) == (None, None)
    assert any("the split changed" in warning for warning in signal["warnings"])

    signal = bench.take(traffic(4_000, errors=(0.02, 0.02))).compare("--look").signal("errors/server")
    assert signal["low"] < signal["estimate"] < signal["high"]


def test_a_look_without_shares_decides_nothing(bench: Bench) -> None:
    """Nothing is known of the routing, so no e-process; the report says so; --share supplies it."""
    bench.take(traffic(2_000, errors=(0.01, 0.2)))
    for row in bench.both:
        del row["share"]
    ran = bench.compare("--look")

    assert ran.status == 3
    assert any("share is unknown" in warning for warning in ran.verdict["warnings"])
    assert bench.compare("--look", "--share", "0.5").status == 1
    assert bench.compare().status == 1


def test_a_lost_cache_and_lost_objectives_roll_back(bench: Bench, tmp_path: Path) -> None:
    """Both are shares of streams as well; a small share has a colder cache, so only who asks is judged by it."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\ncache: {}\ngoodput: {e2el_s: 1.0}\n", encoding="utf-8")
    for rows, cached in ((bench.baseline, 800), (bench.candidate, 100)):
        for number, row in enumerate(rows):
            late = cached == 100 and number % 4 == 0
            row |= {"input_tokens": 1_000, "cached_tokens": cached, "total_s": 1.5 if late else 0.5}
    ran = bench.compare("--policy", policy)

    assert ran.status == 1
    assert ran.signal("cache/hit_rate")["status"] == ran.signal("goodput/requests")["status"] == "fail"
    assert "cache/hit_rate" not in {signal["name"] for signal in bench.compare().verdict["signals"]}


def test_the_traffic_rule_is_the_one_that_counts(bench: Bench, tmp_path: Path) -> None:
    """`errors` is for pairs; `traffic.errors` for streams, and a hold offers its lines."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\ntraffic: {errors: {server: {max_increase: 0.04}}}\n")
    ran = bench.take(traffic(errors=(0.01, 0.01))).compare("--policy", policy)

    assert ran.signal("errors/server")["margin"] == 0.04
    assert ran.signal("errors/refusal")["margin"] == 0.005


def test_quality_is_split_by_stratum_and_by_tenant(bench: Bench) -> None:
    """One kind of request that got worse is named; so is one tenant."""
    for number, row in enumerate(bench.both):
        row["stratum"], row["tenant"] = ("code", "chat")[number % 2], f"t{number % 3}"
    for row in bench.candidate:
        if row["stratum"] == "code" and "scores" in row and int(row["id"].split("-")[0]) % 4 == 0:
            row["scores"] = {"helpful": False}
    ran = bench.compare()

    assert ran.status == 1
    assert ran.signal("quality/code/helpful")["status"] == "fail"
    assert ran.signal("quality/chat/helpful")["status"] == "pass"
    names = {signal["name"] for signal in bench.compare("--by", "tenant").verdict["signals"]}
    assert {"quality/t0/helpful", "quality/t1/helpful", "quality/t2/helpful"} <= names


@pytest.mark.parametrize("options", [(), ("--look",)], ids=["closed", "look"])
def test_a_kept_run_is_judged_again_to_the_byte(
    bench: Bench, canary: Canary, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """`--out` seals a run that `verify` accepts and `replay` answers alike."""
    ran = bench.compare("--out", tmp_path / "runs" / "r", *options)

    assert canary("verify", tmp_path / "runs" / "r").status == 0
    again = canary("replay", tmp_path / "runs" / "r", "--json")
    assert (again.status, again.out) == (ran.status, ran.out)
