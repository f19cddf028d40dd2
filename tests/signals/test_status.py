"""The status table of the design, row by row, and the family it is corrected over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from canary.policy import Policy
from canary.records import Status, Tier
from canary.signals.reading import Reading
from canary.signals.status import settle
from canary.signals.wording import Unit
from canary.stats.results import Estimate, Finding, Test


def make_reading(*, harm: float, inside: float, estimate: float = -0.05, n: int = 100, **changes: Any) -> Reading:
    """A stratum's quality with the two p-values the test is about."""
    finding = Finding(
        estimate=Estimate(center=estimate, low=estimate - 0.04, high=estimate + 0.04, confidence=0.9, n=n, method="m"),
        harm=Test(p=harm, n=n, method="m"),
        noninferior=Test(p=inside, n=n, method="m"),
        can_reject=True,
        baseline=0.9,
        candidate=0.9 + estimate,
        margin=0.1,
        method="m",
    )
    reading = Reading(
        name="quality/s/pass",
        kind="quality",
        stratum="s",
        metric="pass",
        tier=Tier.BLOCKING,
        effect="difference",
        unit=Unit.SHARE,
        worse=-1,
        margin=0.1,
        sign_off=0.03,
        finding=finding,
        n=n,
        missing=(),
        warnings=(),
    )
    return replace(reading, **changes)


@pytest.mark.parametrize(
    ("reading", "status", "words"),
    [
        (make_reading(harm=0.001, inside=0.5, missing=("half is gone",)), Status.INCONCLUSIVE, "half is gone"),
        (make_reading(harm=0.001, inside=0.5, n=9), Status.INCONCLUSIVE, "9 pairs decide nothing"),
        (make_reading(harm=0.05, inside=0.05), Status.FAIL, "harm p 0.05 <= 0.05, and a drop of 10 points is not excl"),
        (make_reading(harm=0.051, inside=0.05), Status.INCONCLUSIVE, "a drop of 10 points is not excluded"),
        (
            make_reading(harm=0.083, inside=0.999, estimate=-0.83, n=12),
            Status.INCONCLUSIVE,
            "beyond a drop of 10 points, but on too little evidence to be certain (harm p 0.083 > 0.05); need >= 13 p",
        ),
        (make_reading(harm=0.051, inside=0.5, estimate=-0.1), Status.INCONCLUSIVE, "10 points is not excluded"),
        (
            make_reading(harm=0.2, inside=0.9, estimate=1.3, effect="ratio", unit=Unit.SECONDS, worse=1, margin=1.15),
            Status.INCONCLUSIVE,
            "beyond 1.15x the baseline, but on too little evidence to be certain (harm p 0.2 > 0.05)",
        ),
        (
            make_reading(harm=0.2, inside=0.8, kind="floor", margin=0.0),
            Status.INCONCLUSIVE,
            "beyond its floor, but on too little evidence to be certain (harm p 0.2 > 0.05)",
        ),
        (make_reading(harm=0.05, inside=0.049), Status.INCONCLUSIVE, "needs a person's sign-off"),
        (make_reading(harm=0.05, inside=0.049, estimate=-0.02), Status.PASS, "a drop of 10 points is excluded"),
        (make_reading(harm=0.5, inside=0.049), Status.PASS, "p 0.049 < 0.05"),
    ],
)
def test_the_first_row_that_matches_wins(reading: Reading, status: Status, words: str) -> None:
    """Each row of the table, at its boundary."""
    signal = settle([reading], Policy())[0]

    assert signal.status is status
    assert words in signal.reason


def test_a_proven_loss_within_tolerance_passes_with_a_warning() -> None:
    """The release owner is told, and nothing is held."""
    signal = settle([make_reading(harm=0.001, inside=0.001, estimate=-0.02)], Policy())[0]

    assert signal.status is Status.PASS
    assert signal.warnings == ("a real loss, though within tolerance: 90.0% -> 88.0%, -2.0 points, p 0.001",)


def test_advisory_signals_cost_the_family_nothing() -> None:
    """Only blocking signals that could reject share alpha."""
    advisory = make_reading(harm=0.001, inside=0.5, tier=Tier.ADVISORY, name="quality/s/tone")
    finding = advisory.finding
    assert finding is not None
    silent = make_reading(harm=1.0, inside=0.01, name="errors/server", finding=replace(finding, can_reject=False))
    few = make_reading(harm=0.001, inside=0.5, n=9, name="quality/t/pass")

    signals = settle([make_reading(harm=0.04, inside=0.5), advisory, silent, few], Policy())

    assert [signal.p_harm_adjusted for signal in signals] == [0.04, None, None, None]
    assert [signal.status for signal in signals[:2]] == [Status.FAIL, Status.FAIL]


def test_harm_is_corrected_over_the_whole_family() -> None:
    """Two blocking signals halve what each may spend."""
    signals = settle([make_reading(harm=0.03, inside=0.5), make_reading(harm=0.9, inside=0.5)], Policy())

    assert signals[0].p_harm_adjusted == pytest.approx(0.06)
    assert signals[0].status is Status.INCONCLUSIVE


def test_need_says_how_many_more_pairs_would_settle_it() -> None:
    """(0.04 * (1.6449 + 0.8416) / 1.6449 / 0.05)^2 * 100 = 146.2, so 47 more."""
    signal = settle([make_reading(harm=0.9, inside=0.5)], Policy())[0]

    assert signal.need == 47
    assert signal.reason.endswith("need >= 147 pairs, have 100")


@pytest.mark.parametrize(
    ("facts", "need"),
    [
        ({"discordance": 0.0}, 33),
        ({"spread": 0.0, "reach": 1.0}, 74),  # (1 + z_alpha + z_power)/0.02 - 1 = 173.3
    ],
)
def test_need_is_exact_where_the_test_is_known(facts: dict[str, Any], need: int) -> None:
    """A silent pass/fail run lacks 33 of Tango's 133; equal scores lack what drowns the worst-case pair."""
    reading = make_reading(harm=0.9, inside=0.5, estimate=0.0, margin=0.02)
    assert reading.finding is not None
    known = replace(reading.finding, **facts)

    assert settle([replace(reading, finding=known)], Policy())[0].need == need


def test_need_minds_the_correction() -> None:
    """Harm that shares alpha with nine others takes more pairs to show."""
    reading = make_reading(harm=0.04, inside=0.9, estimate=-0.2)
    assert reading.finding is not None
    lost = replace(reading, finding=replace(reading.finding, discordance=0.6))
    others = [make_reading(harm=0.9, inside=0.01, name=f"quality/s{i}/pass") for i in range(9)]

    alone, among = settle([lost], Policy())[0], settle([lost, *others], Policy())[0]

    assert alone.status is Status.FAIL
    assert among.need is not None
    assert among.need > 50


def test_bounds_that_do_not_exist_are_null() -> None:
    """Infinity is not a number a reader of the verdict can use."""
    reading = make_reading(harm=0.9, inside=1.0)
    assert reading.finding is not None
    endless = replace(reading.finding, estimate=replace(reading.finding.estimate, low=float("-inf")))

    signal = settle([replace(reading, finding=endless)], Policy())[0]

    assert signal.low is None
    assert signal.need is None
