"""What GitHub shows of a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from canary.plan import Plan
from canary.records import Decision, Evidence, Signal, Verdict
from canary.reporters.markdown import BUDGET, render

Golden = Callable[[str, str], None]
MakeEvidence = Callable[..., Evidence]
MakeSignal = Callable[..., Signal]
MakeVerdict = Callable[..., Verdict]


@pytest.fixture
def rollback(make_verdict: MakeVerdict, make_signal: MakeSignal, lost_lookup: Signal, open_code: Signal) -> Verdict:
    """One stratum lost."""
    reason = f"{lost_lookup.name}: {lost_lookup.reason}"
    return make_verdict(
        Decision.ROLLBACK, make_signal(), lost_lookup, open_code, reason=reason, warnings=("no manifest",)
    )


def test_golden_rollback(rollback: Verdict, make_evidence: MakeEvidence, plan: Plan, golden: Golden) -> None:
    """The whole summary of a rollback."""
    golden("markdown-rollback.stdout", render(rollback, make_evidence(), plan))


def test_golden_hold(
    make_verdict: MakeVerdict, open_code: Signal, measured: tuple[Signal, ...], plan: Plan, golden: Golden
) -> None:
    """The whole summary of a hold without a flip."""
    verdict = make_verdict(Decision.HOLD, open_code, *measured)

    golden("markdown-hold.stdout", render(verdict, Evidence(prompts=(), responses=(), scores=()), plan))


@pytest.mark.parametrize(
    ("decision", "first"),
    [(Decision.PROMOTE, "> [!TIP]"), (Decision.HOLD, "> [!WARNING]"), (Decision.ROLLBACK, "> [!CAUTION]")],
)
def test_alert_comes_first(
    decision: Decision, first: str, make_verdict: MakeVerdict, make_evidence: MakeEvidence, plan: Plan
) -> None:
    """The first lines are an alert with the verdict and its one reason."""
    lines = render(make_verdict(decision), make_evidence(), plan).splitlines()

    assert lines[:2] == [first, f"> **{decision}**: `because`"]


def test_stays_in_its_budget(make_signal: MakeSignal, make_verdict: MakeVerdict, plan: Plan) -> None:
    """Ten thousand signals with long names and warnings: cut, said so, and well-formed."""
    signals = [
        make_signal(name=f"quality/{'ж' * 90}{i}/pass", warnings=(f"{i} {'w' * 3000}",), reason="r" * 5000)
        for i in range(10_000)
    ]
    text = render(
        make_verdict(Decision.HOLD, *signals, reason="x" * 10_000_000),
        Evidence(prompts=(), responses=(), scores=()),
        plan,
    )

    assert len(text.encode()) < BUDGET < 1 << 20
    assert "This summary is full; `verdict.json` and the run directory have the rest." in text
    assert text.endswith("at most 5%.\n")


def test_huge_flips_stay_in_the_budget(rollback: Verdict, make_evidence: MakeEvidence, plan: Plan) -> None:
    """Hundreds of flipped cases with 10 MB outputs: twenty are shown, shortened."""
    long = "日" * 10_000_000
    cases = {f"case-{i}": ("lookup", "q", "x", "x", long) for i in range(200)}
    text = render(rollback, make_evidence(cases=cases), plan)

    assert len(text.encode()) < BUDGET
    assert text.count("<details>") == text.count("</details>") == 20
    assert "And 180 more in the run directory." in text


def test_details_hold_no_empty_line(rollback: Verdict, make_evidence: MakeEvidence, plan: Plan) -> None:
    """An HTML block ends at an empty line, so that none may stand inside."""
    text = render(rollback, make_evidence(outputs={"lookup-1": "a\n\n# b\n\n</pre>"}), plan)
    blocks = [part.split("</details>")[0] for part in text.split("<details>")[1:]]

    assert len(blocks) == 3
    assert not any("\n\n" in block for block in blocks)
