"""Two streams of routed traffic: what holds, and what would settle it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.traffic.conftest import Bench, traffic


def assert_holds(ran: Any, *words: str) -> None:
    """The verdict is hold and every blocking signal says why."""
    assert ran.status == 3, ran.err or ran.verdict["reason"]
    for word in words:
        assert word in ran.verdict["reason"]


def test_sample_ratio_mismatch_holds(bench: Bench) -> None:
    """A candidate that lost a fifth of its lines is not judged, however bad it looks."""
    bench.take(traffic(errors=(0.002, 0.05)))
    del bench.candidate[::5]

    assert_holds(bench.compare(), "sample ratio mismatch")
    assert_holds(bench.compare("--look"), "sample ratio mismatch")


def test_arms_of_different_hours_hold(bench: Bench) -> None:
    """Yesterday's baseline is no baseline."""
    for row in bench.baseline:
        row["started_at"] -= 86_400

    assert_holds(bench.compare(), "when the candidate was not")


@pytest.mark.parametrize("share", [(), ("--share", "0.5")], ids=["no share", "share"])
@pytest.mark.parametrize("key", [None, "id"], ids=["none", "one a request"])
@pytest.mark.parametrize("arm", ["baseline", "candidate"])
def test_sessions_of_one_arm_only_hold(bench: Bench, arm: str, key: str | None, share: tuple[str, ...]) -> None:
    """A rate by session beside a rate by request would hide a threefold rise, or show one that is none."""
    bench.take(traffic(2_000, sticky=4, errors=(0.002, 0.006)))
    for row in bench.both:
        del row["share"]
    assert bench.compare(*share).status in {1, 3}
    for row in getattr(bench, arm):
        row["session"] = None if key is None else row[key]

    assert_holds(bench.compare(*share), "evidence is missing")


def test_sessions_in_both_arms_hold(bench: Bench) -> None:
    """Where routing does not stick to the key that is recorded, the unit is wrong."""
    for number, row in enumerate(bench.both):
        row["session"] = f"s{number % 300}"

    assert_holds(bench.compare(), "served by both arms")


@pytest.mark.parametrize("field", ["ttft_s", "cost_usd", "scores"])
@pytest.mark.parametrize("arm", ["baseline", "candidate"])
def test_what_one_arm_lacks_holds(bench: Bench, arm: str, field: str) -> None:
    """A measurement that one arm carries and the other does not is missing evidence."""
    for row in getattr(bench, arm):
        row.pop(field, None)

    assert bench.compare().status == 3


def test_half_scored_traffic_holds(bench: Bench) -> None:
    """Scores on some lines only may be on the good ones."""
    for row in bench.candidate[::2]:
        row.pop("scores", None)

    assert_holds(bench.compare(), "have no helpful")


def test_client_errors_of_one_arm_hold(bench: Bench) -> None:
    """A release that calls good requests bad is not let through."""
    for row in bench.both:
        row.pop("scores", None)
    for row in bench.candidate[::10]:
        row["error"] = {"kind": "client"}

    assert_holds(bench.compare(), "client errors")


def test_nine_requests_hold(bench: Bench) -> None:
    """Too few for any verdict, in either arm."""
    bench.candidate = bench.candidate[:9]
    for row in bench.both:
        del row["share"]

    assert bench.compare().status == 3


def test_everything_failing_never_promotes(bench: Bench) -> None:
    """An incident that takes both arms down shows nothing in the candidate's favour."""
    for row in bench.both:
        row["error"] = {"kind": "server"}

    assert bench.compare().status == 3


@pytest.mark.parametrize("options", [(), ("--look",)], ids=["closed", "look"])
def test_a_baseline_that_only_failed_is_nothing_to_compare_with(bench: Bench, options: tuple[str, ...]) -> None:
    """Any candidate is as good as a baseline that is down, with no score or time to say otherwise."""
    keys = ("id", "started_at", "share")
    for arm in ("baseline", "candidate"):
        rows = [{key: row[key] for key in keys} for row in getattr(bench, arm)]
        setattr(bench, arm, [row | {"error": {"kind": "server"}} for row in rows])

    assert_holds(bench.compare(*options), "nothing to compare with")


@pytest.mark.parametrize("options", [(), ("--look",)], ids=["closed", "look"])
def test_grades_that_are_called_pass_or_fail_hold(bench: Bench, tmp_path: Path, options: tuple[str, ...]) -> None:
    """0.9 and 0.1 are not both failures: nothing that is not 0 or 1 is counted as one."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nquality: {metrics: {helpful: {scale: pass_fail}}}\n", encoding="utf-8")
    for rows, grade in ((bench.baseline, 0.9), (bench.candidate, 0.1)):
        for row in rows:
            row["scores"] = {"helpful": grade}

    assert_holds(bench.compare("--policy", policy, *options), "every score must be 0 or 1")


@pytest.mark.parametrize("named", ["cache: {hit_rate: {max_drop: 0.05}}", "goodput: {e2el_s: 0.5}"])
def test_serving_named_and_not_measured_holds(bench: Bench, tmp_path: Path, named: str) -> None:
    """What the policy names of cache and objectives is missing evidence, not left aside."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"version: 1\n{named}\n", encoding="utf-8")

    assert_holds(bench.compare("--policy", policy), "baseline responses")


def test_a_named_policy_that_is_not_measured_holds(bench: Bench, tmp_path: Path) -> None:
    """What the policy asks for by name is missing evidence where no line carries it."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nlatency: {itl: {}}\nquality: {metrics: {tone: {min_score: 0.8}}}\n")
    ran = bench.compare("--policy", policy)

    assert_holds(ran)
    assert ran.signal("floor/all/tone")["status"] == ran.signal("quality/all/tone")["status"] == "inconclusive"
    assert ran.signal("latency/itl/tm95")["status"] == "inconclusive"


def test_a_hold_says_how_many_more_and_how_long(bench: Bench) -> None:
    """What would settle it, in requests an arm and in minutes at this rate."""
    ran = bench.take(traffic(1_000)).compare()

    assert ran.status == 3
    assert "requests an arm" in ran.signal("errors/server")["reason"]
    assert "minutes more" in ran.signal("errors/server")["reason"]
