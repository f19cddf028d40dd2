"""Places on a common axis."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from canary.plan import Plan
from canary.records import Decision, Evidence, Signal, Tier, Verdict
from canary.reporters.html.forest import Panel, axis_of, forest, ticks_of
from canary.reporters.quantity import units_of
from canary.reporters.sheet import tabulate
from canary.signals.wording import Unit

MakeSignal = Callable[..., Signal]


@pytest.fixture
def panels(
    make_verdict: Callable[..., Verdict], make_evidence: Callable[..., Evidence], plan: Plan
) -> Callable[..., tuple[Panel, ...]]:
    """The panels of a verdict of the given signals."""

    def make(*signals: Signal) -> tuple[Panel, ...]:
        verdict, evidence = make_verdict(Decision.HOLD, *signals), make_evidence()
        return forest(tabulate(verdict, evidence, plan), units_of(verdict, evidence, plan))

    return make


def test_order_is_kept_in_places(panels: Callable[..., tuple[Panel, ...]], lost_lookup: Signal) -> None:
    """Low, estimate, high and no change stand in the order of their numbers, harm on the left for quality."""
    (panel,) = panels(lost_lookup)
    (mark,) = panel.marks

    assert panel.worse == "left"
    assert None not in (mark.low, mark.at, mark.high, mark.margin)
    assert 0 < mark.low < mark.at < mark.high < mark.margin < panel.none < 100  # type: ignore[operator]


def test_the_pool_stands_last(panels: Callable[..., tuple[Panel, ...]], make_signal: MakeSignal) -> None:
    """Strata first, all cases below them."""
    stratum = make_signal(name="quality/code/pass", stratum="code")
    (panel,) = panels(make_signal(), stratum)

    assert [mark.label for mark in panel.marks] == ["code", "all cases"]
    assert [mark.is_pooled for mark in panel.marks] == [False, True]


def test_equal_signals_share_an_axis_and_others_do_not(
    panels: Callable[..., tuple[Panel, ...]], measured: tuple[Signal, ...], make_signal: MakeSignal
) -> None:
    """Differences, ratios and advisory signals have panels of their own; blocking ones lead."""
    shown = panels(*measured, make_signal())

    assert [(panel.title, panel.is_advisory, panel.count) for panel in shown] == [
        ("Quality", False, 1),
        ("Errors", False, 1),
        ("Latency", False, 1),
        ("Cost", False, 1),
        ("Latency", True, 1),
    ]
    assert {panel.worse for panel in shown[1:]} == {"right"}


@pytest.mark.parametrize("fields", [{"low": None, "high": None, "estimate": None, "margin": None}, {"low": None}])
def test_unknown_numbers_have_no_place(
    panels: Callable[..., tuple[Panel, ...]], make_signal: MakeSignal, fields: dict[str, Any]
) -> None:
    """What is not known is not drawn at zero."""
    (panel,) = panels(make_signal(**fields))

    assert panel.marks[0].low is None
    assert (panel.marks[0].at is None) == ("estimate" in fields)


def test_a_vast_interval_does_not_flatten_the_others(make_signal: MakeSignal) -> None:
    """An axis grows to three times what estimates and margins need, and no further."""
    axis = axis_of([make_signal(margin=0.1, estimate=-0.05, low=-0.9, high=0.9)])

    assert axis.low == pytest.approx(-0.3 - 0.06 * 0.6)  # the margin of 0.1, three times, and six percent of both
    assert axis.high == pytest.approx(0.3 + 0.06 * 0.6)


def test_ratios_are_logarithmic(make_signal: MakeSignal) -> None:
    """Half and twice are equally far from no change."""
    axis = axis_of([make_signal(effect="ratio", estimate=1.0, low=0.5, high=2.0, margin=2.0)])

    assert axis.place(1.0) - axis.place(0.5) == pytest.approx(axis.place(2.0) - axis.place(1.0), abs=0.02)


@pytest.mark.parametrize(
    ("effect", "unit", "fields"),
    [
        ("difference", Unit.SHARE, {"estimate": -0.3, "low": -0.4, "high": 0.1}),
        ("difference", Unit.SCORE, {"estimate": 0.001, "low": 0.0, "high": 0.002, "margin": 0.001}),
        ("difference", Unit.SHARE, {"estimate": 0.0, "low": 0.0, "high": 0.0, "margin": None}),
        ("ratio", Unit.SECONDS, {"estimate": 1.1, "low": 0.9, "high": 30.0, "margin": 1.15}),
        ("ratio", Unit.SECONDS, {"estimate": None, "low": None, "high": None, "margin": None}),
    ],
)
def test_ticks_name_no_change_and_keep_apart(
    effect: str, unit: Unit, fields: dict[str, Any], make_signal: MakeSignal
) -> None:
    """Where nothing changed has a label, and no two labels touch."""
    signal = make_signal(effect=effect, tier=Tier.BLOCKING, **fields)
    axis = axis_of([signal])
    ticks = ticks_of(axis, signal, unit)
    places = [tick.place for tick in ticks]

    assert axis.place(1.0 if effect == "ratio" else 0.0) in places
    assert all(after - before > 10 for before, after in itertools.pairwise(places))
    assert 1 <= len(ticks) <= 9
