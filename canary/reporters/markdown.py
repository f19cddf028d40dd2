"""The verdict as a GitHub step summary: alert first, details folded away.

Everything that is not ours stands in a code span or a `<pre>`: nothing in there
is markup, a link, a mention or HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from canary.gate_change import gate_sentence
from canary.plan import Plan
from canary.records import Decision, Evidence, Signal, Status, Verdict
from canary.reporters.escape import cell, code, html
from canary.reporters.flips import Flip, facts, find_flips
from canary.reporters.margins import policy_lines
from canary.reporters.ranking import alike, blocking, lost_strata
from canary.reporters.sheet import Row, asked_of, interval_name, mark, promises, saving, starts, tabulate

BUDGET = 900_000
"""Bytes: GitHub refuses a step's summary above 1 MiB, all its writers together."""

FULL = "This summary is full; `verdict.json` and the run directory have the rest."

FLIPS = 20
_TABLE_SHARE = 0.6
_PROSE = 2000
_OUTPUT = 4000

ALERTS = {Decision.PROMOTE: "TIP", Decision.HOLD: "WARNING", Decision.ROLLBACK: "CAUTION"}
SIGNS = {Status.PASS: "✅", Status.INCONCLUSIVE: "❔", Status.FAIL: "❌"}


def render(verdict: Verdict, evidence: Evidence, plan: Plan) -> str:
    """The summary, under `BUDGET` bytes whatever the evidence holds."""
    text = "\n".join(within(alert(verdict, plan), BUDGET // 10)) + "\n"
    text += "\n".join(within(_table(verdict, evidence, plan), int(BUDGET * _TABLE_SHARE))) + "\n"
    text += "\n".join(within(questions(verdict, plan), BUDGET // 10)) + "\n"
    left = BUDGET - len(text.encode()) - 1000
    text += "\n".join(within(flips(verdict, evidence, FLIPS, _OUTPUT), left)) + "\n"
    return text + " ".join(promises(verdict)) + "\n"


def within(blocks: Iterable[str], budget: int) -> Iterator[str]:
    """Whole blocks while they fit in `budget` bytes; then one line says that some are missing."""
    for block in blocks:
        budget -= len(block.encode()) + 1
        if budget < 0:
            yield f"\n{FULL}"
            return
        yield block


def alert(verdict: Verdict, plan: Plan) -> Iterator[str]:
    """The verdict with its one reason, what was lost, and whether the gate itself was to be changed."""
    yield f"> [!{ALERTS[verdict.verdict]}]"
    yield f"> **{verdict.verdict.value}**: {code(verdict.reason, _PROSE)}"
    if lost := lost_strata(verdict):
        yield f">\n> Lost: {', '.join(code(str(signal.stratum)) for signal in lost)}"
    if saved := saving(verdict.looks):
        yield f">\n> {code(saved, _PROSE)}"
    yield ""
    if plan.gate_changes:
        yield f"**{code(gate_sentence(plan.gate_changes), _PROSE)}**\n"
    arms = " → ".join(f"{code(side.name)} ({code(side.digest[:8])})" for side in (verdict.baseline, verdict.candidate))
    yield f"Stage {code(verdict.stage)}: {arms}"
    yield ""


def _table(verdict: Verdict, evidence: Evidence, plan: Plan) -> Iterator[str]:
    sheet = tabulate(verdict, evidence, plan)
    yield f"| | signal | baseline | candidate | change | {interval_name(verdict)} | margin | n | status |"
    yield "|:-:|:--|--:|--:|--:|--:|--:|--:|:--|"
    yield from map(_row, sheet.rows)
    yield ""
    for number, note in enumerate(sheet.notes):
        yield f"{mark(number)} {code(note, _PROSE)}<br>"
    known = gate_sentence(plan.gate_changes)
    for warning in verdict.warnings:
        if warning == known:
            continue  # it stands at the top
        yield f"Warning: {code(warning, _PROSE)}<br>"
    if told := starts(evidence):
        yield f"{code(told, _PROSE)}<br>"
    for told in asked_of(evidence, plan):
        yield f"{code(told, _PROSE)}<br>"
    yield ""


def _row(row: Row) -> str:
    cells = (
        SIGNS[row.signal.status],
        cell(row.signal.name),
        row.baseline,
        row.candidate,
        row.change,
        row.interval,
        row.margin,
        row.n,
        f"{row.status} {row.marks}".rstrip(),
    )
    return f"| {' | '.join(cells)} |"


def questions(verdict: Verdict, plan: Plan) -> Iterator[str]:
    """What failed and what is lacking, with the policy lines that would settle a hold."""
    for title, status in (("What failed", Status.FAIL), ("What is lacking", Status.INCONCLUSIVE)):
        signals = blocking(verdict, status)
        if signals:
            yield f"**{title}**\n"
        yield from (text for group in alike(signals) for text in _question(group))
        yield ""
    lines = policy_lines(verdict, plan.policy) if verdict.verdict is Decision.HOLD else ""
    if lines:
        yield "**The smallest margins this evidence supports, as lines of the policy file**\n"
        yield "\n".join(f"    {text}" for text in lines.splitlines())
        yield ""


def _question(group: Sequence[Signal]) -> Iterator[str]:
    yield f"- {', '.join(code(signal.name) for signal in group)}: {code(group[0].reason, _PROSE)}"
    if group[0].runbook:
        yield f"  - runbook: {code(group[0].runbook, _PROSE)}"


def flips(verdict: Verdict, evidence: Evidence, most: int, limit: int) -> Iterator[str]:
    """The first flipped cases, folded away, texts of at most `limit` characters; then how many more there are."""
    found = find_flips(verdict, evidence)
    if not found.lost:
        return
    yield f"**Flipped cases: {len(found.lost):,} lost, {found.won:,} won**\n"
    yield from (_details(flip, limit) for flip in found.lost[:most])
    if len(found.lost) > most:
        yield f"And {len(found.lost) - most:,} more in the run directory.\n"


def _details(flip: Flip, limit: int) -> str:
    """Holds no empty line, at which its HTML would end."""
    repeat = f", repeat {flip.repeat}" if flip.repeat else ""
    name = f"<code>{html(flip.prompt.id)}</code> in <code>{html(flip.prompt.stratum)}</code>{repeat}"
    shown = "\n".join(f"{html(label):<9}  {html(text, limit)}" for label, text in facts(flip))
    return f"<details><summary>{name}</summary>\n<pre>\n{shown}\n</pre>\n</details>\n"
