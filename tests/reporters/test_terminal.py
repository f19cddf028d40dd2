"""What a person sees at the end of a run."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import pytest
from rich.console import Console

from canary.plan import Plan
from canary.records import Decision, Evidence, Signal, Status, Verdict
from canary.reporters.escape import width
from canary.reporters.terminal import for_stream, on_console, render

Golden = Callable[[str, str], None]
MakeEvidence = Callable[..., Evidence]
MakeSignal = Callable[..., Signal]
MakeVerdict = Callable[..., Verdict]


class Stream(io.StringIO):
    """An output that says what it is."""

    def __init__(self, *, tty: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self.tty, self.spoken = tty, encoding

    def isatty(self) -> bool:
        """Whether it claims to be a terminal."""
        return self.tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What it can write."""
        return self.spoken


@pytest.fixture
def rollback(
    make_verdict: MakeVerdict, make_signal: MakeSignal, lost_lookup: Signal, measured: tuple[Signal, ...]
) -> Verdict:
    """One stratum lost, all else fine but an advisory latency."""
    return make_verdict(
        Decision.ROLLBACK,
        make_signal(),
        *measured,
        lost_lookup,
        reason=f"{lost_lookup.name}: {lost_lookup.reason}",
        warnings=("prompts.jsonl has no manifest.yaml beside it",),
    )


@pytest.fixture
def hold(
    make_verdict: MakeVerdict, make_signal: MakeSignal, open_code: Signal, measured: tuple[Signal, ...]
) -> Verdict:
    """One stratum with too few pairs, and one that needs a person."""
    proven = make_signal(
        name="quality/math/pass", stratum="math", status=Status.INCONCLUSIVE, baseline=0.95, candidate=0.88,
        estimate=-0.07, low=-0.082, high=-0.058, margin=0.1, n=1500,
        reason="inside its margin, but a proven loss beyond the pooled margin needs a person's sign-off",
    )  # fmt: skip
    signals = (make_signal(), *measured, open_code, proven)
    return make_verdict(Decision.HOLD, *signals, reason=f"{open_code.name}: {open_code.reason} (and 1 more)")


@pytest.fixture
def promote(make_verdict: MakeVerdict, make_signal: MakeSignal) -> Verdict:
    """Everything passes."""
    return make_verdict(Decision.PROMOTE, make_signal(), reason="all 1 blocking signals are inside their margins")


@pytest.mark.parametrize("name", ["rollback", "hold", "promote"])
def test_golden(
    name: str, request: pytest.FixtureRequest, make_evidence: MakeEvidence, plan: Plan, golden: Golden
) -> None:
    """The whole report, plain."""
    golden(f"terminal-{name}.stdout", render(request.getfixturevalue(name), make_evidence(), plan))


@pytest.mark.parametrize("columns", [60, 80, 132])
def test_golden_styled(
    columns: int, rollback: Verdict, make_evidence: MakeEvidence, plan: Plan, golden: Golden
) -> None:
    """The whole report, in colour, at three widths."""
    text = on_console(console(columns))(rollback, make_evidence(), plan)

    golden(f"terminal-rollback-{columns}.stdout", text)


@pytest.mark.parametrize("name", ["rollback", "hold", "promote"])
def test_verdict_is_last_and_alone(
    name: str, request: pytest.FixtureRequest, make_evidence: MakeEvidence, plan: Plan
) -> None:
    """The last line is the verdict and its one reason; an empty line sets it apart."""
    verdict: Verdict = request.getfixturevalue(name)
    lines = render(verdict, make_evidence(), plan).splitlines()

    assert lines[-1] == f"{name}: {verdict.reason}"
    assert lines[-2] == ""


def test_a_rollback_is_offered_no_margin(
    rollback: Verdict, open_code: Signal, make_verdict: MakeVerdict, make_evidence: MakeEvidence, plan: Plan
) -> None:
    """What is lacking is said, but no margin of it would promote what is worse elsewhere."""
    signals = (*rollback.signals, open_code)
    held, worse = (
        render(make_verdict(decision, *signals), make_evidence(), plan)
        for decision in (Decision.HOLD, Decision.ROLLBACK)
    )

    assert "what is lacking" in worse
    assert "the smallest margins" not in worse
    assert "the smallest margins" in held


def test_both_promises_stand(promote: Verdict, make_evidence: MakeEvidence, plan: Plan) -> None:
    """Every report says what its two error rates mean."""
    text = render(promote, make_evidence(), plan)

    assert "An unchanged candidate is rolled back with probability at most 5%." in text
    assert (
        "A candidate with any blocking stratum at or beyond its margin is promoted with probability at most 5%." in text
    )


def test_order_of_rows(rollback: Verdict, open_code: Signal, make_verdict: MakeVerdict, plan: Plan) -> None:
    """Failing, inconclusive, passing; what is only shown comes last."""
    verdict = make_verdict(Decision.ROLLBACK, *rollback.signals, open_code)
    lines = render(verdict, Evidence(prompts=(), responses=(), scores=()), plan).splitlines()

    assert [line.split()[0] for line in lines[3:10]] == [
        "quality/lookup/pass",
        "quality/code/pass",
        "quality/all/pass",
        "errors/server",
        "latency/ttft/tm95",
        "cost/per_request",
        "latency/total/tm95",
    ]


@pytest.mark.parametrize("columns", [60, 80, 100, 132])
def test_fits_the_terminal(columns: int, hold: Verdict, make_evidence: MakeEvidence, plan: Plan) -> None:
    """No line is longer than the terminal is wide."""
    plain = Console(file=io.StringIO(), width=columns, force_terminal=True, color_system=None, _environ={})
    text = on_console(plain)(hold, make_evidence(outputs={"lookup-1": "x" * 5000}), plan)

    assert max(width(line) for line in text.splitlines()) <= columns


def test_same_words_with_and_without_style(hold: Verdict, make_evidence: MakeEvidence, plan: Plan) -> None:
    """Colour adds nothing but colour: a wide terminal shows the plain text."""
    wide = Console(file=io.StringIO(), width=400, force_terminal=True, color_system=None, _environ={})

    assert on_console(wide)(hold, make_evidence(), plan) == render(hold, make_evidence(), plan)


def test_a_pipe_gets_plain_text(hold: Verdict, make_evidence: MakeEvidence, plan: Plan) -> None:
    """What is not a terminal gets no style and whole lines."""
    assert for_stream(Stream(tty=False))(hold, make_evidence(), plan) == render(hold, make_evidence(), plan)


def test_a_terminal_gets_style(
    hold: Verdict, make_evidence: MakeEvidence, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal gets colour, unless its user said NO_COLOR."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    assert "\x1b[1;33mhold\x1b[0m" in for_stream(Stream(tty=True))(hold, make_evidence(), plan)

    monkeypatch.setenv("NO_COLOR", "1")

    assert "\x1b[1;33m" not in for_stream(Stream(tty=True))(hold, make_evidence(), plan)


def test_a_poor_encoding_is_written_with_escapes(hold: Verdict, make_evidence: MakeEvidence, plan: Plan) -> None:
    """A stream that cannot write a sign gets its escape, not an error."""
    text = for_stream(Stream(tty=False, encoding="ascii"))(hold, make_evidence(), plan)

    assert text.isascii()
    assert "\\xd71.15" in text


def test_empty_verdict(make_verdict: MakeVerdict, plan: Plan) -> None:
    """A verdict without any signal is still shown."""
    text = render(make_verdict(Decision.HOLD), Evidence(prompts=(), responses=(), scores=()), plan)

    assert text.splitlines()[-1] == "hold: because"


def console(columns: int) -> Console:
    """A terminal of that width with eight colours."""
    return Console(file=io.StringIO(), width=columns, force_terminal=True, color_system="standard", _environ={})


def test_a_row_without_evidence_says_why(
    rollback: Verdict, measured: tuple[Signal, ...], make_evidence: MakeEvidence, plan: Plan, make_verdict: MakeVerdict
) -> None:
    """An advisory signal that could not be measured has its reason as a footnote, as nothing else tells it."""
    reason = "evidence is missing: no pair carries it in both arms"
    empty = dataclasses.replace(measured[2], n=0, status=Status.INCONCLUSIVE, reason=reason, warnings=())
    lines = render(make_verdict(Decision.HOLD, empty), make_evidence(), plan).splitlines()

    assert next(line for line in lines if line.startswith("latency/total")).endswith("inconclusive (advisory) ¹")
    assert f"¹ {reason}" in "\n".join(lines)
