"""What a reader sees first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from canary.records import Decision, Signal, Status, Tier, Verdict
from canary.reporters.ranking import blocking, lost_strata, ranked

MakeSignal = Callable[..., Signal]
MakeVerdict = Callable[..., Verdict]


@pytest.fixture
def failing(make_signal: MakeSignal) -> Callable[..., Signal]:
    """A quality signal that fails by so much."""

    def make(stratum: str, metric: str, estimate: float | None, **fields: object) -> Signal:
        name = f"quality/{stratum}/{metric}"
        return make_signal(name=name, stratum=stratum, metric=metric, status=Status.FAIL, estimate=estimate, **fields)

    return make


def test_order(make_signal: MakeSignal) -> None:
    """Blocking before advisory, then the worst first; equals keep their order."""
    signals = [
        make_signal(name=f"{tier}-{status.label}-{copy}", tier=tier, status=status)
        for copy in (1, 2)
        for tier in (Tier.ADVISORY, Tier.BLOCKING)
        for status in Status
    ]

    assert [signal.name for signal in ranked(signals)] == [
        f"{tier}-{status}-{copy}"
        for tier in ("blocking", "advisory")
        for status in ("fail", "inconclusive", "pass")
        for copy in (1, 2)
    ]


def test_lost_strata(make_verdict: MakeVerdict, make_signal: MakeSignal, failing: Callable[..., Signal]) -> None:
    """Each stratum once, by its deepest drop; neither the pool, nor latency, nor what is only shown."""
    verdict = make_verdict(
        Decision.ROLLBACK,
        failing("all", "pass", -0.9),
        failing("code", "pass", -0.2),
        failing("math", "pass", -0.1),
        failing("math", "tone", -0.3),
        failing("math", "style", -0.15),
        failing("chat", "tone", -0.5, tier=Tier.ADVISORY),
        make_signal(name="latency/ttft/tm95", kind="latency", stratum="all", status=Status.FAIL),
        make_signal(name="quality/poems/pass", stratum="poems"),
    )

    assert [(signal.stratum, signal.metric) for signal in lost_strata(verdict)] == [("math", "tone"), ("code", "pass")]


def test_blocking(make_verdict: MakeVerdict, make_signal: MakeSignal, failing: Callable[..., Signal]) -> None:
    """Only signals that decide, of one status."""
    verdict = make_verdict(
        Decision.ROLLBACK, make_signal(), failing("a", "pass", None), failing("b", "pass", None, tier=Tier.ADVISORY)
    )

    assert [signal.stratum for signal in blocking(verdict, Status.FAIL)] == ["a"]
