"""Two streams of routed traffic: what decides, what holds, what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Row = dict[str, Any]
Canary = Callable[..., Any]

N = 6_000


def served(rng: np.random.Generator, arm: int, change: Row) -> Row:
    """One request's measurements; `change` gives the candidate's differences."""
    if rng.random() < change.get("errors", (0.002, 0.002))[arm]:
        return {"error": {"kind": "server"}}
    factor = change.get("slower", 1.0) if arm else 1.0
    return {
        "ttft_s": round(float(rng.lognormal(-1, 0.4)) * factor, 5),
        "output_tokens": int(rng.integers(20, 200)),
        "cost_usd": round(float(rng.lognormal(-6, 0.5)) * (change.get("dearer", 1.0) if arm else 1.0), 7),
        "scores": {"helpful": bool(rng.random() < change.get("passes", (0.95, 0.95))[arm])},
    }


def traffic(
    n: int = N, *, share: Sequence[float] = (0.5,), seed: int = 0, sticky: int = 1, **change: Any
) -> list[list[Row]]:
    """Lines of both arms over an hour, the share stepping through `share`."""
    rng = np.random.default_rng(seed)
    arms: list[list[Row]] = [[], []]
    keys = n // sticky
    for key in range(keys):
        level = share[key * len(share) // keys]
        arm = int(rng.random() < level)
        for turn in range(sticky):
            row = {"id": f"{key}-{turn}", "started_at": 1.7e9 + 3_600 * key / keys + turn, "share": level}
            session = {"session": f"s{key}"} if sticky > 1 else {}
            arms[arm].append(row | session | served(rng, arm, change))
    return arms


class Bench:
    """Two arms that were served alike; each test breaks one thing."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self._canary = folder, canary
        self.baseline, self.candidate = traffic()

    @property
    def both(self) -> list[Row]:
        """Every line of both arms."""
        return [*self.baseline, *self.candidate]

    def take(self, arms: list[list[Row]]) -> Bench:
        """Other lines."""
        self.baseline, self.candidate = arms
        return self

    def compare(self, *options: object) -> Any:
        """Run `canary compare --traffic` on what the test left."""
        files = []
        for name, rows in (("baseline", self.baseline), ("candidate", self.candidate)):
            path = self.folder / f"{name}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            files.append(path)
        return self._canary("compare", *files, "--traffic", "--json", *options)


@pytest.fixture
def bench(tmp_path: Path, canary: Canary) -> Bench:
    """Traffic that promotes as it stands."""
    return Bench(tmp_path, canary)


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


def test_a_named_policy_that_is_not_measured_holds(bench: Bench, tmp_path: Path) -> None:
    """What the policy asks for by name is missing evidence where no line carries it."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nlatency: {itl: {}}\nquality: {metrics: {tone: {min_score: 0.8}}}\n")
    ran = bench.compare("--policy", policy)

    assert_holds(ran)
    assert ran.signal("floor/all/tone")["status"] == ran.signal("quality/all/tone")["status"] == "inconclusive"
    assert ran.signal("latency/itl/tm95")["status"] == "inconclusive"


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


def test_a_hold_says_how_many_more_and_how_long(bench: Bench) -> None:
    """What would settle it, in requests an arm and in minutes at this rate."""
    ran = bench.take(traffic(1_000)).compare()

    assert ran.status == 3
    assert "requests an arm" in ran.signal("errors/server")["reason"]
    assert "minutes more" in ran.signal("errors/server")["reason"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ttft_s": -1.0}, "'ttft_s' must be"),
        ({"ttft_s": float("nan")}, "NaN"),
        ({"share": 0.0}, "'share' must be"),
        ({"share": 1.5}, "'share' must be"),
        ({"share": 1}, "'share' must be below 1 for the baseline"),
        ({"started_at": None}, "'started_at' is missing"),
        ({"id": "0-0"}, "already on line"),
        ({"repeat": 1}, "'repeat' must not stand in traffic"),
        ({"shares": 0.1}, "did you mean 'share'?"),
    ],
    ids=str,
)
def test_bad_lines_are_refused(bench: Bench, change: Row, words: str) -> None:
    """Exit 2, with file and line."""
    bench.baseline[0]["id"] = "0-0"
    bench.baseline[6] |= change
    ran = bench.compare()

    assert ran.status == 2
    assert "baseline.jsonl:7: " in ran.err
    assert words in ran.err
    assert ran.out == ""


def test_files_that_do_not_belong_together_are_refused(bench: Bench) -> None:
    """An empty file, one request in both arms, and shares on some lines are mistakes, not evidence."""
    whole = bench.candidate
    bench.candidate = []
    assert "empty" in bench.compare().err
    bench.candidate = [dict(bench.baseline[0])]
    assert "stands in both arms" in bench.compare().err
    bench.candidate = [dict(row) for row in whole]
    del bench.candidate[3]["share"]
    ran = bench.compare()
    assert ran.status == 2
    assert "must carry 'share', or none" in ran.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--golden", "g.jsonl"), "'--golden' must not stand beside --traffic"),
        (("--suite", "s.yaml"), "'--suite' must not stand beside --traffic"),
        (("--calibration", "n.json"), "'--calibration' must not stand beside --traffic"),
        (("--share", "0.5"), "must not be given where lines carry their own"),
    ],
)
def test_options_that_mean_nothing_here_are_refused(bench: Bench, options: tuple[str, ...], words: str) -> None:
    """Rather than silently left aside."""
    ran = bench.compare(*options)

    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err


@pytest.mark.parametrize("share", ["0", "1", "-0.1", "nan"])
def test_impossible_shares_are_refused(bench: Bench, share: str) -> None:
    """A constant share lies between 0 and 1, both excluded."""
    for row in bench.both:
        del row["share"]

    assert "'--share' must be above 0 and below 1" in bench.compare("--share", share).err


@pytest.mark.parametrize("option", [("--look",), ("--share", "0.5"), ("--by", "tenant")])
def test_traffic_options_need_traffic(canary: Canary, tmp_path: Path, option: tuple[str, ...]) -> None:
    """`--look` at pairs is nothing."""
    ran = canary("compare", tmp_path / "a", tmp_path / "b", *option)

    assert ran.status == 2
    assert "needs --traffic" in ran.err


@pytest.mark.parametrize("options", [(), ("--look",)], ids=["closed", "look"])
def test_a_kept_run_is_judged_again_to_the_byte(
    bench: Bench, canary: Canary, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """`--out` seals a run that `verify` accepts and `replay` answers alike."""
    ran = bench.compare("--out", tmp_path / "runs" / "r", *options)

    assert canary("verify", tmp_path / "runs" / "r").status == 0
    again = canary("replay", tmp_path / "runs" / "r", "--json")
    assert (again.status, again.out) == (ran.status, ran.out)
