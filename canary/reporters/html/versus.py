"""Two runs side by side: what changed in verdict, signals and answers.

Nothing is tested here. Two runs of one baseline are not independent, so their
estimates are shown beside each other and no p-value between them is given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from canary.plan import Plan
from canary.records import Arm, Evidence, Verdict
from canary.reporters.html.cases import browse
from canary.reporters.html.forest import Axis, Mark, Tick, axis_of, mark_of, ticks_of
from canary.reporters.html.page import page
from canary.reporters.quantity import direction, nothing, units_of
from canary.reporters.sheet import Row, interval_name, tabulate
from canary.signals.wording import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One sealed run with the name of its folder."""

    name: str
    verdict: Verdict
    evidence: Evidence
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One signal in both runs; None where a run has no such signal."""

    name: str
    first: Row | None
    second: Row | None
    what: str
    """What changed, "" for nothing."""
    marks: tuple[Mark | None, Mark | None]
    ticks: tuple[Tick, ...]
    none: float
    worse: str


def render_versus(first: Told, second: Told) -> str:
    """Both runs on one page; the later one is given second."""
    joined, plan = _joined(first, second)
    rows = _beside(first, second)
    return page(
        "versus.html",
        sides=(first, second),
        questions=tuple(_questions(first, second)),
        changed=tuple(row for row in rows if row.what),
        same=tuple(row for row in rows if not row.what),
        interval_name=interval_name(second.verdict),
        cases=browse(joined, plan, first=(), arms=("first", "second")),
    )


def _questions(first: Told, second: Told) -> Iterator[str]:
    """In what the two runs asked something else."""
    told = (
        ("the baselines", first.verdict.baseline.digest, second.verdict.baseline.digest),
        ("the cases", first.plan.golden_sha256, second.plan.golden_sha256),
        ("what scores an answer", first.plan.scoring_digest(), second.plan.scoring_digest()),
        ("the policies", first.plan.policy, second.plan.policy),
        ("the stages", first.verdict.stage, second.verdict.stage),
    )
    yield from (what for what, before, after in told if before != after)


def _beside(first: Told, second: Told) -> tuple[Beside, ...]:
    sheets = [tabulate(told.verdict, told.evidence, told.plan) for told in (first, second)]
    rows = [{row.signal.name: row for row in sheet.rows} for sheet in sheets]
    units = units_of(first.verdict, first.evidence, first.plan) | units_of(second.verdict, second.evidence, second.plan)
    names = dict.fromkeys([*rows[1], *rows[0]])
    return tuple(_signal(name, rows[0].get(name), rows[1].get(name), units[name]) for name in names)


def _signal(name: str, first: Row | None, second: Row | None, unit: Unit) -> Beside:
    known = [row for row in (first, second) if row is not None]
    axis = axis_of(row.signal for row in known)
    signal = known[-1].signal
    return Beside(
        name=name,
        first=first,
        second=second,
        what=_what(first, second),
        marks=(_mark(first, axis), _mark(second, axis)),
        ticks=ticks_of(axis, signal, unit),
        none=axis.place(nothing(signal)),
        worse="left" if direction(signal) < 0 else "right",
    )


def _mark(row: Row | None, axis: Axis) -> Mark | None:
    return None if row is None else mark_of(row, axis)


def _what(first: Row | None, second: Row | None) -> str:
    if first is None or second is None:
        return "only in the second" if first is None else "only in the first"
    if first.signal.status is not second.signal.status:
        return f"{first.signal.status.label} -> {second.signal.status.label}"
    return "" if first.signal.tier is second.signal.tier else f"{first.signal.tier} -> {second.signal.tier}"


def _joined(first: Told, second: Told) -> tuple[Evidence, Plan]:
    """Both candidates' answers to the cases both were asked, the first run's as the baseline."""
    before = {prompt.id: prompt.digest for prompt in first.evidence.prompts}
    prompts = tuple(prompt for prompt in second.evidence.prompts if before.get(prompt.id) == prompt.digest)
    common = {prompt.id for prompt in prompts}
    arms = ((first, Arm.BASELINE), (second, Arm.CANDIDATE))
    return Evidence(
        prompts=prompts,
        responses=tuple(
            dataclasses.replace(response, arm=arm)
            for told, arm in arms
            for response in told.evidence.responses
            if response.arm is Arm.CANDIDATE and response.id in common
        ),
        scores=tuple(
            dataclasses.replace(score, arm=arm)
            for told, arm in arms
            for score in told.evidence.scores
            if score.arm is Arm.CANDIDATE and score.id in common
        ),
    ), second.plan
