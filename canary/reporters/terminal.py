"""The verdict for a terminal, after benchstat: a row per signal, verdict last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from canary.plan import Plan
from canary.protocols import Reporter
from canary.records import Decision, Evidence, Signal, Status, Tier, Verdict
from canary.reporters.escape import show
from canary.reporters.flips import Flip, facts, find_flips
from canary.reporters.layout import Column, Line, Span, line, plain, prose, styled, table
from canary.reporters.margins import policy_lines
from canary.reporters.quantity import SAME
from canary.reporters.ranking import alike, blocking, lost_strata
from canary.reporters.sheet import Row, Sheet, asked_of, interval_name, mark, promises, saving, starts, tabulate

if TYPE_CHECKING:
    from rich.console import Console

FLIPS = 3
"""Flipped cases shown; the documents have all of them."""

_WIDE = 120
"""Columns of model text a line shows where no terminal says how many fit."""

_LEAST = 40
"""Columns of model text a line shows at least."""

_NAME = 100
_PROSE = 2000

_COLOURS = {Status.PASS: "green", Status.INCONCLUSIVE: "yellow", Status.FAIL: "bold red"}
_ARMS = {"baseline": "green", "candidate": "red"}
_VERDICTS = {Decision.PROMOTE: "bold green", Decision.HOLD: "bold yellow", Decision.ROLLBACK: "bold red"}


def render(verdict: Verdict, evidence: Evidence, plan: Plan) -> str:
    """The report as plain text; no line is broken."""
    return plain(_report(verdict, evidence, plan, None))


def for_stream(out: TextIO) -> Reporter:
    """The reporter that fits `out`: styled and as wide as the terminal it is.

    Anything but a terminal gets plain text, with what its encoding lacks
    written as escapes.
    """
    if not out.isatty():
        return _encodable(out)
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs rich

    return on_console(Console(file=out, highlight=False, markup=False, emoji=False))


def on_console(console: Console) -> Reporter:
    """The reporter that styles for one console."""

    def render_styled(verdict: Verdict, evidence: Evidence, plan: Plan) -> str:
        return styled(_report(verdict, evidence, plan, console.width), console)

    return render_styled


def _encodable(out: TextIO) -> Reporter:
    encoding = getattr(out, "encoding", None) or "utf-8"

    def render_plain(verdict: Verdict, evidence: Evidence, plan: Plan) -> str:
        return render(verdict, evidence, plan).encode(encoding, "backslashreplace").decode(encoding)

    return render_plain


def _report(verdict: Verdict, evidence: Evidence, plan: Plan, width: int | None) -> Iterator[Line]:
    sheet = tabulate(verdict, evidence, plan)
    yield _title(verdict)
    yield line()
    yield from table(_columns(verdict, sheet), width)
    yield from _notes(verdict, sheet)
    yield from _losses(verdict, sheet)
    if verdict.verdict is not Decision.PROMOTE:
        yield from _lacking(verdict, plan)
    yield from _flipped(verdict, evidence, width)
    yield line()
    if saved := saving(verdict.looks):
        yield prose(show(saved, _PROSE))
    if told := starts(evidence):
        yield prose(show(told, _PROSE))
    for told in asked_of(evidence, plan):
        yield prose(show(told, _PROSE))
    yield prose(Span(" ".join(promises(verdict)), "dim"))
    yield line()
    yield prose(Span(verdict.verdict.value, _VERDICTS[verdict.verdict]), f": {show(verdict.reason, _PROSE)}")


def _title(verdict: Verdict) -> Line:
    arms = " -> ".join(
        f"{show(side.name, _NAME)} ({show(side.digest[:8])})" for side in (verdict.baseline, verdict.candidate)
    )
    return prose(Span(show(verdict.stage, _NAME), "bold"), f": {arms}")


def _columns(verdict: Verdict, sheet: Sheet) -> tuple[Column, ...]:
    rows = sheet.rows
    names = tuple(_cell(row, show(row.signal.name, _NAME)) for row in rows)
    statuses = tuple(
        Span(f"{row.status} {row.marks}".rstrip(), _style(row, _COLOURS[row.signal.status])) for row in rows
    )
    return (
        Column(title="signal", cells=names, leans_left=True),
        Column(title="baseline", cells=tuple(_cell(row, row.baseline) for row in rows), rank=1),
        Column(title="candidate", cells=tuple(_cell(row, row.candidate) for row in rows), rank=2),
        Column(title="change", cells=tuple(_cell(row, row.change) for row in rows)),
        Column(title=interval_name(verdict), cells=tuple(_cell(row, row.interval) for row in rows), rank=3),
        Column(title="margin", cells=tuple(_cell(row, row.margin) for row in rows), rank=4),
        Column(title="n", cells=tuple(_cell(row, row.n) for row in rows), rank=5),
        Column(title="status", cells=statuses, leans_left=True),
    )


def _cell(row: Row, text: str) -> Span:
    return Span(text, _style(row, ""))


def _style(row: Row, style: str) -> str:
    return "dim" if row.signal.tier is Tier.ADVISORY else style


def _notes(verdict: Verdict, sheet: Sheet) -> Iterator[Line]:
    is_same = any(row.change == SAME for row in sheet.rows)
    if is_same or sheet.notes or verdict.warnings:
        yield line()
    if is_same:
        yield prose(Span(f"{SAME} a change that cannot be told from none", "dim"))
    for number, note in enumerate(sheet.notes):
        yield prose(f"{mark(number)} {show(note, _PROSE)}", indent=2)
    for warning in verdict.warnings:
        yield prose(Span("warning", "yellow"), f": {show(warning, _PROSE)}", indent=2)


def _losses(verdict: Verdict, sheet: Sheet) -> Iterator[Line]:
    failing = blocking(verdict, Status.FAIL)
    if failing:
        yield from _heading("what failed")
    for group in alike(failing):
        yield from _explained(group)
    rows = {row.signal.name: row for row in sheet.rows}
    for signal in lost_strata(verdict):
        row = rows[signal.name]
        arms = f" ({row.baseline} -> {row.candidate})"
        yield prose(Span("lost stratum", "bold red"), f": {show(str(signal.stratum), _NAME)}{arms}", indent=2)


def _explained(group: Sequence[Signal]) -> Iterator[Line]:
    names = ", ".join(show(signal.name, _NAME) for signal in group)
    yield prose(f"  {names}: {show(group[0].reason, _PROSE)}", indent=4)
    if group[0].runbook:
        yield prose(f"    runbook: {show(group[0].runbook, _PROSE)}", indent=6)


def _lacking(verdict: Verdict, plan: Plan) -> Iterator[Line]:
    open_questions = blocking(verdict, Status.INCONCLUSIVE)
    if open_questions:
        yield from _heading("what is lacking")
    for group in alike(open_questions):
        yield from _explained(group)
    if verdict.verdict is Decision.HOLD and (lines := policy_lines(verdict, plan.policy)):
        yield from _heading("the smallest margins this evidence supports, as lines of the policy file")
        yield from (line(f"  {text}") for text in lines.splitlines())


def _flipped(verdict: Verdict, evidence: Evidence, width: int | None) -> Iterator[Line]:
    flips = find_flips(verdict, evidence)
    if not flips.lost:
        return
    where = " in what failed" if blocking(verdict, Status.FAIL) else ""
    yield from _heading(f"flipped cases{where}: {len(flips.lost):,} lost, {flips.won:,} won")
    for flip in flips.lost[:FLIPS]:
        yield from _flip_lines(flip, width or _WIDE)
    if len(flips.lost) > FLIPS:
        yield line(f"  and {len(flips.lost) - FLIPS:,} more")


def _flip_lines(flip: Flip, width: int) -> Iterator[Line]:
    repeat = f", repeat {flip.repeat}" if flip.repeat else ""
    where = f"{show(flip.prompt.stratum, _NAME)}, {show(flip.metric, _NAME)}{repeat}"
    yield prose("  ", Span(show(flip.prompt.id, _NAME), "bold"), f" ({where})", indent=4)
    for label, text in facts(flip):
        name = f"    {label:<9}  "
        yield line(Span(name, "dim"), Span(show(text, max(_LEAST, width - len(name))), _ARMS.get(label, "")))


def _heading(text: str) -> Iterator[Line]:
    yield line()
    yield prose(Span(text, "bold"))
