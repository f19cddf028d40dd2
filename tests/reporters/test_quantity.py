"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from canary.plan import Plan
from canary.policy import Policy
from canary.records import Decision, Evidence, Scale, Signal, Verdict
from canary.reporters.quantity import effect, interval, margin, units_of, value
from canary.signals.wording import Unit, seconds, significant

MakeSignal = Callable[..., Signal]


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0.9834, Unit.SHARE, "98.3%"),
        (0.0, Unit.SHARE, "0.0%"),
        (0.412, Unit.SECONDS, "412 ms"),
        (0.00123, Unit.DOLLARS, "$0.00123"),
        (1234.6, Unit.DOLLARS, "$1235"),
        (0.8731, Unit.SCORE, "0.873"),
        (None, Unit.SHARE, "-"),
    ],
)
def test_value(number: float | None, unit: Unit, text: str) -> None:
    """Each unit has one way to be written; nothing is a dash."""
    assert text == value(number, unit)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.84, "1.84 s"),
        (12.3, "12.3 s"),
        (1234.0, "1234 s"),
        (0.9999, "1.00 s"),
        (0.9996, "1.00 s"),
        (0.9994, "999 ms"),
        (0.0021, "2.10 ms"),
        (35e-6, "35.0 µs"),
        (0.0, "0 s"),
        (-0.5, "-500 ms"),
    ],
)
def test_seconds(number: float, text: str) -> None:
    """The largest unit that leaves a digit before the point."""
    assert text == seconds(number)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (1234.5, "1234"), (9.999, "10.0"), (0.000012345, "0.0000123"), (1e-9, "1.00e-09"), (3e7, "3.00e+07")],
)
def test_significant(number: float, text: str) -> None:
    """Three digits count, whatever the size."""
    assert text == significant(number)


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        (
            {"estimate": -0.05, "low": -0.08, "high": -0.02, "margin": 0.1},
            ("-5.0 pp", "[-8.0, -2.0] pp", "-10.0 pp"),
        ),
        ({"estimate": -0.05, "low": -0.08, "high": 0.02}, ("~", "[-8.0, +2.0] pp", "-3.0 pp")),
        ({"estimate": 0.00001, "low": -0.0001, "high": 0.0002}, ("~", "[0.0, 0.0] pp", "-3.0 pp")),
        ({"estimate": None, "low": None, "high": None, "margin": None}, ("-", "-", "-")),
        ({"estimate": 0.2, "low": 0.1, "high": None}, ("+20.0 pp", "[+10.0, -] pp", "-3.0 pp")),
        ({"kind": "errors", "margin": 0.03}, ("~", "[-1.2, +1.2] pp", "+3.0 pp")),
        (
            {
                "name": "latency/ttft/tm95",
                "kind": "latency",
                "metric": "tm95",
                "effect": "ratio",
                "estimate": 1.31,
                "low": 1.2,
                "high": 1.4,
                "margin": 1.15,
            },
            ("×1.31", "[×1.20, ×1.40]", "×1.15"),
        ),
        (
            {
                "name": "latency/ttft/tm95",
                "kind": "latency",
                "effect": "ratio",
                "estimate": 1.31,
                "low": 1.2,
                "high": 1.4,
                "margin": 7.51,
            },
            ("×1.31", "[×1.20, ×1.40]", "+20.0 ms"),
        ),
        (
            {"kind": "cost", "effect": "ratio", "estimate": 1.0, "low": 0.98, "high": 1234.0, "margin": 1.1},
            ("~", "[×0.98, ×1.23e+03]", "×1.10"),
        ),
    ],
)
def test_effects(make_signal: MakeSignal, fields: dict[str, Any], texts: tuple[str, str, str]) -> None:
    """Change, interval and margin share a unit, but for a latency's floor; `~` is "no change excluded"."""
    signal = make_signal(**fields)
    unit = Unit.SECONDS if signal.kind == "latency" else Unit.SHARE

    assert texts == (effect(signal, unit), interval(signal, unit), margin(signal, unit, Policy()))


def test_score_differences_keep_their_sign(make_signal: MakeSignal) -> None:
    """Differences of scores, seconds and dollars carry a sign."""
    signal = make_signal(estimate=0.02, low=0.01, high=0.03)

    assert [effect(signal, unit) for unit in (Unit.SCORE, Unit.SECONDS, Unit.DOLLARS)] == [
        "+0.020",
        "+20.0 ms",
        "+$0.0200",
    ]


def test_units_follow_the_scale(
    make_signal: MakeSignal, make_verdict: Callable[..., Verdict], make_evidence: Callable[..., Evidence], plan: Plan
) -> None:
    """Pass/fail metrics are shares; any other score is a plain number."""
    slow = make_signal(name="latency/ttft/slow", kind="latency", metric="slow")
    trimmed = make_signal(name="latency/ttft/tm95", kind="latency", metric="tm95")
    cost = make_signal(name="cost/per_request", kind="cost", metric="per_request")
    errors = make_signal(name="errors/server", kind="errors", metric="server")
    verdict = make_verdict(Decision.HOLD, make_signal(), slow, trimmed, cost, errors)

    assert list(units_of(verdict, make_evidence(), plan).values()) == [
        Unit.SHARE,
        Unit.SHARE,
        Unit.SECONDS,
        Unit.DOLLARS,
        Unit.SHARE,
    ]
    assert Unit.SCORE is units_of(verdict, make_evidence(scale=Scale.BOUNDED), plan)["quality/all/pass"]
    assert Unit.SHARE is units_of(verdict, make_evidence(scale=Scale.ORDINAL), plan)["quality/all/pass"]

    named = plan.model_copy(
        update={"policy": Policy.model_validate({"quality": {"metrics": {"pass": {"scale": "bounded"}}}})}
    )

    assert units_of(verdict, make_evidence(), named)["quality/all/pass"] is Unit.SCORE

    floor = make_verdict(Decision.HOLD, make_signal(kind="floor"))

    assert Unit.SCORE is units_of(floor, make_evidence(scale=Scale.ORDINAL), plan)["quality/all/pass"]


def test_margins_of_nothing(make_signal: MakeSignal) -> None:
    """A floor and drift that is only found have none."""
    floor = make_signal(kind="floor", margin=None)
    drift = make_signal(kind="drift", margin=None)

    assert [margin(signal, Unit.SCORE, Policy()) for signal in (floor, drift)] == ["-", "-"]
