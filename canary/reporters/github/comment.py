"""The one comment of a gate on a pull request: its first screen says what to do.

Everything that is not ours stands in a code span or a `<pre>`: it pings nobody,
links nowhere, loads no image.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from canary.plan import Plan
from canary.records import Arm, Evidence, Signal, Verdict
from canary.reporters.escape import cell, code
from canary.reporters.markdown import SIGNS, alert, flips, questions, within
from canary.reporters.quantity import direction, nothing
from canary.reporters.sheet import Row, interval_name, promises, tabulate
from canary.signals.wording import dollars, seconds

BUDGET = 60_000
"""Bytes: GitHub refuses a comment of more than 65,536 characters."""

ROWS = 15
FLIPS = 5
_IMPROVED = 5
_OUTPUT = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stands around the verdict."""

    sha: str
    """The commit judged; "" where unknown."""
    run_url: str
    record: str
    """sha256 of the run's manifest; "" where there is none."""
    notes: tuple[str, ...] = ()
    """What a reader must know of how this verdict came about; not yet safe to show."""


def marker(pipeline: str, stage: str) -> str:
    """The first line of a gate's comment: the same for each run, another for each gate."""
    written = f"{pipeline}:{stage}"
    readable = re.sub(r"[^A-Za-z0-9_.]+", "-", written).strip("-")[-60:]
    return f"<!-- gate:{readable}-{hashlib.sha256(written.encode(errors='replace')).hexdigest()[:8]} -->"


def render(verdict: Verdict, evidence: Evidence, plan: Plan, frame: Frame) -> str:
    """The comment without its marker, under `BUDGET` bytes whatever the evidence holds."""
    text = "\n".join(within(_head(verdict, plan, frame), BUDGET // 5)) + "\n"
    text += "\n".join(within(_table(verdict, evidence, plan), BUDGET // 4)) + "\n"
    text += "\n".join(within(questions(verdict, plan), BUDGET // 5)) + "\n"
    tail = "\n".join(_tail(verdict, evidence, frame)) + "\n"
    left = BUDGET - len(text.encode()) - len(tail.encode()) - 500
    return text + "\n".join(within(flips(verdict, evidence, FLIPS, _OUTPUT), left)) + "\n" + tail


def without_verdict(reason: str, frame: Frame | None) -> str:
    """The comment of a gate that reached no verdict, so that an older one does not stand for it."""
    lines = ["> [!CAUTION]", f"> **no verdict**: {code(reason, 500)}", "", "Nothing is known about this candidate.", ""]
    return "\n".join([*lines, *(() if frame is None else _origin(frame))]) + "\n"


def _head(verdict: Verdict, plan: Plan, frame: Frame) -> Iterator[str]:
    yield from (f"**{code(note, 1000)}**\n" for note in frame.notes)
    yield from alert(verdict, plan)


def _table(verdict: Verdict, evidence: Evidence, plan: Plan) -> Iterator[str]:
    rows = tabulate(verdict, evidence, plan).rows
    yield f"| | metric | baseline | candidate | Δ | {interval_name(verdict)} | margin | status |"
    yield "|:-:|:--|--:|--:|--:|--:|--:|:--|"
    yield from map(_row, rows[:ROWS])
    yield ""
    if len(rows) > ROWS:
        yield f"And {len(rows) - ROWS:,} more in the step's summary.\n"
    if better := [row for row in rows if _is_better(row.signal)]:
        named = ", ".join(f"{code(row.signal.name)} {row.change}" for row in better[:_IMPROVED])
        more = f" and {len(better) - _IMPROVED:,} more" if len(better) > _IMPROVED else ""
        yield f"**Improved**: {named}{more}\n"


def _row(row: Row) -> str:
    name = cell(row.signal.name)
    cells = (row.baseline, row.candidate, row.change, row.interval, row.margin, row.status)
    return f"| {SIGNS[row.signal.status]} | {name} | {' | '.join(cells)} |"


def _is_better(signal: Signal) -> bool:
    """Whether the whole interval lies on the good side of no change."""
    if direction(signal) < 0:
        return signal.low is not None and signal.low > nothing(signal)
    return signal.high is not None and signal.high < nothing(signal)


def _tail(verdict: Verdict, evidence: Evidence, frame: Frame) -> Iterator[str]:
    yield f"<sub>{'; '.join(_spent(evidence))}</sub>\n"
    yield f"<sub>{' '.join(promises(verdict))}</sub>\n"
    yield from _origin(frame)


def _spent(evidence: Evidence) -> Iterator[str]:
    """What the run cost: answers, tokens, money and time, as far as they were recorded."""
    responses = evidence.responses
    yield f"This run: {len(responses):,} answers"
    tokens = sum((r.input_tokens or 0) + (r.output_tokens or 0) for r in responses)
    if tokens:
        yield f"{tokens:,} tokens"
    for arm in Arm:
        if paid := [r.cost_usd for r in responses if r.arm is arm and r.cost_usd is not None]:
            yield f"{arm} {dollars(sum(paid))}"
    if timed := [(r.started_at, r.total_s or 0.0) for r in responses if r.started_at is not None]:
        yield f"{seconds(max(at + took for at, took in timed) - min(at for at, _ in timed))} of asking"


def _origin(frame: Frame) -> Iterable[str]:
    sha = f"Commit {code(frame.sha[:12])}" if frame.sha else ""
    link = f"[workflow run]({frame.run_url})" if frame.run_url else ""
    record = f"record {code(frame.record)}" if frame.record else ""
    yield f"<sub>{' · '.join(part for part in (sha, link, record) if part)}</sub>"
