"""The bench is measured, found again, and never trusted further than it was measured."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.benches import CASES, Bench, bench, some

__all__ = ["bench"]  # fixture

HERE, THERE = frozenset(range(15)), frozenset(range(15, 30))
"""Two disjoint sets of cases: two runs of a release that fails now here, now there."""


def test_noise_is_kept_beside_the_pipeline(bench: Bench) -> None:
    """Per stratum and pooled, with digests and the gate's own verdict; the same bytes each time."""
    bench.record("v1", frozenset({0, 1}))
    bench.record("again", frozenset({1, 2}))

    ran = bench.calibrate()
    first = bench.noise.read_bytes()
    bench.calibrate()

    assert ran.status == 0, ran.err
    assert bench.noise.read_bytes() == first
    document = json.loads(first)
    assert document["schema"] == "canary-gate/noise/1"
    assert document["verdict"] == "promote"
    noise = {(entry["metric"], entry["stratum"]): entry for entry in document["noise"]}
    assert noise["pass", "all"]["discordance"] == pytest.approx(2 / CASES)
    assert noise["pass", "a"]["discordance"] == pytest.approx(2 / 120)
    assert noise["pass", "b"]["discordance"] == 0.0
    assert noise["pass", "all"]["within"] == pytest.approx(2 * 0.5 / CASES)
    assert str(bench.folder) not in first.decode()
    assert "the baseline against itself: promote" in ran.out


def test_plan_says_where_its_discordance_comes_from(bench: Bench) -> None:
    """Assumed until it is measured, then found without being named, or read from the file that is."""
    before = bench.canary("plan", bench.pipeline)
    bench.record("again", some(24, 0))
    bench.calibrate()
    after = bench.canary("plan", bench.pipeline)
    moved = bench.noise.rename(bench.folder / "moved.json")
    named = bench.canary("plan", bench.pipeline, "--calibration", moved)

    assert "discordance assumed: 5%, no calibration given" in before.out
    assert "discordance measured: 240 cases, the baseline against itself" in after.out
    assert " 10.0%" in after.out
    assert named.out == after.out


def test_the_pipeline_may_name_its_noise(bench: Bench) -> None:
    """`calibration:` is relative to the pipeline; calibrate writes there, and nothing runs before it has."""
    bench.pipeline.write_text(bench.pipeline.read_text() + "calibration: kept/noise.json\n")
    (bench.folder / "kept").mkdir()

    lacking = bench.run()
    bench.calibrate()

    assert lacking.status == 2
    assert "noise.json: does not exist" in lacking.err
    assert (bench.folder / "kept/noise.json").is_file()
    assert bench.run().status == 0


def test_calibrating_changes_no_verdict_of_a_quiet_bench(bench: Bench) -> None:
    """A stored calibration is in the plan and its digest, and warns of nothing."""
    before = bench.run().verdict
    bench.calibrate()
    after = bench.run()

    assert after.verdict["verdict"] == before["verdict"] == "promote"
    assert after.verdict["record"]["plan"] != before["record"]["plan"]
    assert [signal["warnings"] for signal in after.verdict["signals"]] == [s["warnings"] for s in before["signals"]]
    plan = json.loads(
        (max((bench.folder / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns) / "plan.json").read_text()
    )
    assert plan["calibration"]["verdict"] == "promote"


def test_a_replayed_run_keeps_its_calibration(bench: Bench) -> None:
    """The run needs no file: what it was judged by is in its plan."""
    bench.record("again", some(30, 1))
    bench.calibrate()
    first = bench.run()
    bench.noise.unlink()

    again = bench.canary("replay", next((bench.folder / "runs").iterdir()), "--json")

    assert again.out == first.out


def test_a_margin_below_the_noise_says_so(bench: Bench) -> None:
    """At 12.5 % discordance, 240 pairs pass an unchanged release at 3 points less than half of the time."""
    bench.record("v1", HERE)
    bench.record("again", THERE)
    bench.record("v2", frozenset(range(8, 24)))
    bench.calibrate()

    warnings = bench.run().signal("quality/all/pass")["warnings"]

    assert "an unchanged release would pass this margin only" in warnings[0]
    assert warnings[0].endswith("of the time at the measured discordance 12%")


def test_arms_that_agree_too_well_are_suspected(bench: Bench) -> None:
    """A baseline that differs from itself on 30 cases cannot equal another release on all of them."""
    for name, wrong in (("v1", HERE), ("again", THERE), ("v2", HERE)):
        bench.record(name, wrong)
    bench.calibrate()

    warnings = bench.run().signal("quality/all/pass")["warnings"]

    assert "the arms differ on 0 of 240 cases, while the baseline differed from itself on 30 of 240" in warnings[-1]
    assert "cached" in warnings[-1]


def test_an_unstable_bench_holds(bench: Bench) -> None:
    """Where the baseline rolls itself back, nothing it is compared with has evidence."""
    bench.record("again", some(60, 1))
    ran = bench.calibrate()
    assert json.loads(bench.noise.read_text())["verdict"] == "rollback"
    assert "the bench is not stable" in ran.out

    for wrong in (0, 200):  # neither a good candidate nor a broken one can be told from the bench
        bench.record("v2", some(wrong, 3))
        judged = bench.run()

        assert judged.status == 3
        blocking = [signal for signal in judged.verdict["signals"] if signal["tier"] == "blocking"]
        assert {signal["status"] for signal in blocking} == {"inconclusive"}
        assert all("the bench is not stable" in signal["reason"] for signal in blocking)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"baseline": "0" * 64}, "of another baseline"),
        ({"golden": "0" * 64}, "on other cases"),
        ({"scoring": "0" * 64}, "with other assertions"),
        ({"repeat": 2}, "with 2"),
    ],
)
def test_a_stale_calibration_is_said_and_not_used(bench: Bench, change: dict[str, Any], words: str) -> None:
    """Neither its noise nor its rollback speaks for what it did not measure."""
    bench.record("again", some(60, 1))
    bench.calibrate()
    bench.change(**change)

    ran = bench.run()

    assert ran.status == 0, ran.verdict["reason"]
    warning = next(text for text in ran.verdict["warnings"] if "is not used" in text)
    assert f"measured {words}" in warning
    assert "canary calibrate noise" in warning
    assert "assumed: 5%" in bench.canary("plan", bench.pipeline).out


@pytest.mark.parametrize("torn", ["", "{", "[]", "null", '{"schema": "canary-gate/noise/1"}'])
def test_a_torn_calibration_is_refused(bench: Bench, torn: str) -> None:
    """Half a file is not an absent one, and nothing is asked."""
    bench.noise.write_text(torn)

    ran = bench.run()

    assert ran.status == 2
    assert "p.noise.json" in ran.err
    assert "measure it again: canary calibrate noise" in ran.err
    assert not (bench.folder / "runs").exists()


@pytest.mark.parametrize("value", ["NaN", "-0.1", "1.5", "Infinity", "null", '"high"'])
def test_a_discordance_that_is_no_share_is_refused(bench: Bench, value: str) -> None:
    """No NaN enters a plan."""
    bench.calibrate()
    bench.noise.write_text(bench.noise.read_text().replace('"discordance": 0.0', f'"discordance": {value}', 1))

    ran = bench.run()

    assert ran.status == 2
    assert "discordance" in ran.err


def test_a_calibration_of_another_version_is_refused(bench: Bench) -> None:
    """An unknown schema is not read as this one."""
    bench.calibrate()
    bench.change(schema="canary-gate/noise/2")

    assert bench.run().status == 2
