"""What a reader sees first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from canary.plan import Plan
from canary.records import Decision, Evidence, Signal, Status, Tier, Verdict
from canary.reporters import html, markdown, terminal
from canary.reporters.ranking import alike, blocking, lost_strata, ranked

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


def test_one_cause_is_told_once(make_signal: MakeSignal) -> None:
    """Signals of one reason stand together, where the first stood; another runbook is another thing to do."""
    reasons = {"a": ("cut", None), "b": ("few", None), "c": ("cut", None), "d": ("cut", "https://r.example")}
    signals = [make_signal(name=name, reason=why, runbook=runbook) for name, (why, runbook) in reasons.items()]

    assert [[signal.name for signal in group] for group in alike(signals)] == [["a", "c"], ["b"], ["d"]]


def test_reports_tell_one_cause_once(
    make_verdict: MakeVerdict, make_signal: MakeSignal, make_evidence: Callable[..., Evidence], plan: Plan
) -> None:
    """Every signal that lacks it is named in one line, on the terminal, in the summary and on the page."""
    signals = [make_signal(name=name, status=Status.INCONCLUSIVE, reason="it was cut") for name in ("e/a", "e/b")]
    verdict = make_verdict(Decision.HOLD, *signals)

    assert "\n  e/a, e/b: it was cut\n" in terminal.render(verdict, make_evidence(), plan)
    assert "\n- `e/a`, `e/b`: `it was cut`\n" in markdown.render(verdict, make_evidence(), plan)
    page = html.render(verdict, make_evidence(), plan)
    assert '<p><code class="name">e/a</code>, <code class="name">e/b</code> ' in page
    assert page.count("<p>it was cut</p>") == 1
