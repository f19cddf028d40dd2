"""The table every report shows: one row per signal, footnotes for warnings."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from canary.offered import Lengths, described, lengths
from canary.plan import Plan
from canary.records import Arm, Evidence, Looks, Signal, Status, Tier, Verdict
from canary.reporters.quantity import effect, interval, margin, units_of, value
from canary.reporters.ranking import ranked
from canary.signals.wording import MISSING, percent, significant

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One signal in words; only `signal.name` is not ours and not yet safe."""

    signal: Signal
    baseline: str
    candidate: str
    change: str
    interval: str
    margin: str
    n: str
    status: str
    marks: str
    """Superscript numbers of the row's footnotes, "" for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All rows, most important first, and their footnotes in order of mention."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    """Note k is marked k + 1; as written, not yet safe to show."""


def tabulate(verdict: Verdict, evidence: Evidence, plan: Plan) -> Sheet:
    """Every signal of the verdict as a row; equal warnings share a footnote."""
    units = units_of(verdict, evidence, plan)
    notes: dict[str, int] = {}
    rows = []
    for signal in ranked(verdict.signals):
        unit = units[signal.name]
        rows.append(
            Row(
                signal=signal,
                baseline=value(signal.baseline, unit),
                candidate=value(signal.candidate, unit),
                change=effect(signal, unit),
                interval=interval(signal, unit),
                margin=margin(signal, unit, plan.policy),
                n=f"{signal.n:,}",
                status=signal.status.label + (" (advisory)" if signal.tier is Tier.ADVISORY else ""),
                marks=" ".join(mark(notes.setdefault(note, len(notes))) for note in _notes(signal)),
            )
        )
    return Sheet(rows=tuple(rows), notes=tuple(notes))


def _notes(signal: Signal) -> tuple[str, ...]:
    """Its warnings, and why it was not measured, or failed without a margin, where nothing else says so."""
    is_found = signal.status is Status.FAIL and signal.margin is None
    is_unsaid = signal.tier is Tier.ADVISORY and (is_found or signal.reason.startswith(MISSING))
    return (*signal.warnings, signal.reason) if is_unsaid else signal.warnings


def mark(number: int) -> str:
    """The superscript of footnote `number`, counted from 0."""
    return str(number + 1).translate(_SUPERSCRIPTS)


def promises(verdict: Verdict) -> tuple[str, str]:
    """What the gate's two error rates mean; no more and no less is promised."""
    rollback, promote = (f"{100 * verdict.alpha[key]:g}%" for key in ("rollback", "promote"))
    beyond = "with any blocking stratum at or beyond its margin"
    return (
        f"An unchanged candidate is rolled back with probability at most {rollback}.",
        f"A candidate {beyond} is promoted with probability at most {promote}.",
    )


def saving(looks: Looks | None) -> str:
    """`stopped early: certain after 120 of 750 cases, 84% were not asked`, or "" for a run that went to its end."""
    if looks is None or looks.stopped_at is None or not looks.saved:
        return ""
    what = f"{looks.signal} is certain to be worse" if looks.signal else "every blocking signal is inside its margin"
    least = 1 / looks.alpha["rollback" if looks.signal else "promote"]
    spared = f", about {looks.saved_s:,.0f} s of both arms together" if looks.saved_s is not None else ""
    return (
        f"stopped early: {what} after {looks.stopped_at:,} of {looks.cases:,} cases "
        f"(e-value {significant(looks.e_value or 0)} >= {least:g}); saved {percent(looks.saved)} of the cases{spared}"
    )


def starts(evidence: Evidence) -> str:
    """`servers were up after: baseline 24.6 s, candidate 25.1 s`, or "" where none said."""
    told = sorted(
        (one for one in evidence.observations if "started_s" in one.values), key=lambda one: (one.arm or "", one.at)
    )
    each = [f"{one.arm or 'both arms'}{_which(one.replica)} {one.values['started_s']:.1f} s" for one in told]
    return f"servers were up after: {', '.join(each)}" if each else ""


def _which(replica: int) -> str:
    return f" (replica {replica + 1})" if replica else ""


def asked_of(evidence: Evidence, plan: Plan) -> tuple[str, ...]:
    """What was asked of both arms: the load of an open loop, prompts' and answers' lengths where they were counted.

    `prompt tokens, p50/p90/p99/mean: baseline 120/341/900/155.2, candidate 120/341/900/155.2, trace 43/146/3,200/61.0`
    """
    load = "" if plan.load is None else f"load: {described(plan.load)}, to each arm"
    return tuple(filter(None, (load, *(_lengths(what, evidence, plan) for what in ("prompt", "answer")))))


def _lengths(what: str, evidence: Evidence, plan: Plan) -> str:
    read = {"prompt": attrgetter("input_tokens"), "answer": attrgetter("output_tokens")}[what]
    told = []
    for arm in Arm:
        counts = [read(response) for response in evidence.responses if response.arm is arm]
        if known := [count for count in counts if count is not None]:
            some = f" ({len(known):,} of {len(counts):,})" if len(known) < len(counts) else ""
            told.append(f"{arm} {_quantiles(lengths(known))}{some}")
    trace = None if plan.load is None else read(plan.load)
    if told and trace is not None:
        told.append(f"trace {_quantiles(trace)}")
    return f"{what} tokens, p50/p90/p99/mean: {', '.join(told)}" if told else ""


def _quantiles(of: Lengths) -> str:
    return f"{of.p50:,.0f}/{of.p90:,.0f}/{of.p99:,.0f}/{of.mean:,.1f}"


def interval_name(verdict: Verdict) -> str:
    """`90% interval`: two-sided, the inverse of the test that promotes."""
    levels = verdict.alpha if verdict.looks is None else verdict.looks.final
    return f"{100 - 200 * levels['promote']:g}% interval"
