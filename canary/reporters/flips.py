"""Cases that the baseline passed and the candidate fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from canary.records import PASS, Arm, Evidence, Prompt, Response, Score, Signal, Status, Verdict
from canary.reporters.ranking import blocking, depth, is_pooled

Row = tuple[str, int]
"""A case's id and its repeat."""

Change = tuple[Score, Score]
"""Baseline's and candidate's score of one row, on different sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One case that got worse, with everything needed to see why."""

    prompt: Prompt
    repeat: int
    metric: str
    baseline: Response
    candidate: Response
    drop: float
    """Baseline's score minus the candidate's, positive."""
    reason: str
    """The scorer's own words on the candidate; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedCases:
    """The cases that changed sides, on the metrics that decided."""

    lost: tuple[Flip, ...]
    """Failing strata first and in turn, deepest drop first, then by id."""
    won: int
    """Cases the baseline failed and the candidate passes."""


def find_flips(verdict: Verdict, evidence: Evidence) -> FlippedCases:
    """Every flipped case of the signals that decided, most telling first.

    Those are the failing quality signals, else the inconclusive ones, else all
    of them. A case counts once, for the first metric that shows it.
    """
    prompts = {prompt.id: prompt for prompt in evidence.prompts}
    lost: dict[Row, Change] = {}
    won: set[Row] = set()
    for metric, strata in _targets(verdict).items():
        for row, (before, after) in _changes(evidence, metric):
            if row[0] not in prompts or (strata is not None and prompts[row[0]].stratum not in strata):
                continue
            if _drop(before, after) < 0:
                won.add(row)
            else:
                lost.setdefault(row, (before, after))
    flips = sorted(_flips(lost, prompts, evidence), key=lambda f: (-f.drop, f.prompt.id, f.repeat))
    return FlippedCases(lost=_dealt(flips, _stratum_order(verdict)), won=len(won - lost.keys()))


def asked(prompt: Prompt) -> str:
    """What a case asks, in short: its last turn, or its variables."""
    if prompt.messages:
        return str(prompt.messages[-1].get("content", ""))
    if len(prompt.vars) == 1:
        return str(next(iter(prompt.vars.values())))
    return ", ".join(f"{name}: {text}" for name, text in prompt.vars.items())


def answered(response: Response) -> str:
    """What an arm answered: its output, or the error in its place."""
    if response.error is not None:
        return f"({response.error.kind} error) {response.error.message}"
    return response.output or "(empty)"


def facts(flip: Flip) -> tuple[tuple[str, str], ...]:
    """What to show of a flip, as label and text not yet safe to show."""
    expected = "" if flip.prompt.expected is None else str(flip.prompt.expected)
    told = (
        ("asked", asked(flip.prompt)),
        ("expected", expected),
        ("baseline", answered(flip.baseline)),
        ("candidate", answered(flip.candidate)),
        ("because", flip.reason),
    )
    return tuple((label, text) for label, text in told if text)


def _targets(verdict: Verdict) -> dict[str, frozenset[str] | None]:
    """Per metric the strata to look in; None is everywhere."""
    chosen: tuple[Signal, ...] = ()
    for status in sorted(Status, reverse=True):
        chosen = chosen or tuple(s for s in blocking(verdict, status) if s.kind == "quality")
    named: dict[str, set[str]] = {}
    everywhere = {signal.metric for signal in chosen if is_pooled(signal)}
    for signal in sorted(chosen, key=lambda s: s.metric != PASS):
        named.setdefault(signal.metric, set()).add(str(signal.stratum))
    return {metric: None if metric in everywhere else frozenset(strata) for metric, strata in named.items()}


def _changes(evidence: Evidence, metric: str) -> Iterator[tuple[Row, Change]]:
    """Every row whose two scores of a metric lie on different sides.

    Scores without a yes or no of their own change sides with their value.
    """
    grades: dict[Arm, dict[Row, Score]] = {arm: {} for arm in Arm}
    for score in evidence.scores:
        if score.metric == metric and score.value is not None:
            grades[score.arm][score.id, score.repeat] = score
    for row, before in grades[Arm.BASELINE].items():
        after = grades[Arm.CANDIDATE].get(row)
        if after is None or not _drop(before, after):
            continue
        if before.passed != after.passed or before.passed is None:
            yield row, (before, after)


def _drop(before: Score, after: Score) -> float:
    return (before.value or 0.0) - (after.value or 0.0)


def _flips(lost: Mapping[Row, Change], prompts: Mapping[str, Prompt], evidence: Evidence) -> Iterator[Flip]:
    answers = {(r.id, r.repeat, r.arm): r for r in evidence.responses if (r.id, r.repeat) in lost}
    for row, (before, after) in lost.items():
        baseline, candidate = (answers.get((*row, arm)) for arm in Arm)
        if baseline is None or candidate is None:
            continue
        yield Flip(
            prompt=prompts[row[0]],
            repeat=row[1],
            metric=after.metric,
            baseline=baseline,
            candidate=candidate,
            drop=_drop(before, after),
            reason=after.reason,
        )


def _dealt(flips: Iterable[Flip], order: Mapping[str, tuple[int, float]]) -> tuple[Flip, ...]:
    """Strata of one status take turns, so that the first few show each of them."""
    others = (-int(Status.PASS), 0.0)
    turns: Counter[str] = Counter()
    keys: dict[Row, tuple[int, int, float, str]] = {}
    for flip in flips:
        status, drop = order.get(flip.prompt.stratum, others)
        keys[flip.prompt.id, flip.repeat] = (status, turns[flip.prompt.stratum], drop, flip.prompt.stratum)
        turns[flip.prompt.stratum] += 1
    return tuple(sorted(flips, key=lambda flip: keys[flip.prompt.id, flip.repeat]))


def _stratum_order(verdict: Verdict) -> dict[str, tuple[int, float]]:
    """Worst status, negated, and deepest drop of each stratum in question."""
    order: dict[str, tuple[int, float]] = {}
    for status in (Status.INCONCLUSIVE, Status.FAIL):
        for signal in blocking(verdict, status):
            if signal.kind == "quality" and not is_pooled(signal):
                known = order.get(str(signal.stratum), (0, 0.0))
                order[str(signal.stratum)] = min(known, (-int(status), depth(signal)))
    return order
