"""A judge asked about answers that people have labelled, as a run would ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from canary.assertions import load_plugins
from canary.assertions.scoring import score
from canary.codec import some
from canary.errors import EvidenceError
from canary.judging import is_judged, judged_metrics, metric_of
from canary.labelled import LabelRow
from canary.models import open_embedder
from canary.pipeline import Judge, Suite
from canary.protocols import Tools
from canary.records import Arm, Prompt, Response, Score
from canary.run.judge import Bench
from canary.run.judgements import Judgements
from canary.run.progress import Screen

AGAIN = 40
"""Answers the judge is asked about a second time, to see how often it changes its mind."""
OTHER_SEED = 1_000_003


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a judge said of labelled answers, in their order."""

    said: tuple[bool | None, ...]
    """None where it abstained."""
    again: tuple[bool | None, ...]
    """Of the first answers, asked anew with another seed."""
    tokens: float
    """Mean of a judgement, read and written."""
    cost_usd: float | None


def ask_about(rows: Sequence[LabelRow], metric: str, suite: Suite, prompts: Sequence[Prompt], err: TextIO) -> Asked:
    """The suite's own judge on the outputs that the labels quote.

    Raises EvidenceError, before anything is asked, for labels that quote no
    output or whose case the metric does not grade; and where the judge gave no
    verdict at all, since that says nothing of it.
    """
    cases = {prompt.id: prompt for prompt in prompts}
    _require_askable(rows, metric, suite, cases)
    judge = suite.judge
    if judge is None:
        raise EvidenceError(f"metric {metric!r}: the suite names no judge to ask")
    known = Judgements(None, None)
    scores = _scores(rows, metric, suite, cases, Bench(judge, known, Screen(err)))
    said = tuple(each.passed for each in scores)
    if all(each is None for each in said):
        raise EvidenceError(f"the judge gave no verdict on any of {len(rows)} labelled answers: {scores[0].reason}")
    second = _scores(rows[:AGAIN], metric, suite, cases, Bench(_reseeded(judge), Judgements(None, None), Screen(err)))
    asked = max(1, len(known.known))
    priced = any(each.cost_usd is not None for each in known.known.values())
    return Asked(
        said=said,
        again=tuple(each.passed for each in second),
        tokens=round(known.tokens / asked, 1),
        cost_usd=known.usd / asked if priced else None,
    )


def _require_askable(rows: Sequence[LabelRow], metric: str, suite: Suite, cases: Mapping[str, Prompt]) -> None:
    problems = []
    for row in rows:
        case = cases.get(row.id)
        if case is None:
            problems.append(f"label of '{row.id}': 'id' must be a case of the suite, for the judge to be asked")
        elif metric not in judged_metrics(suite.assertions, case):
            problems.append(f"label of '{row.id}': the suite does not grade this case by {metric!r}")
        if row.output is None:
            problems.append(f"label of '{row.id}': 'output' must quote the answer, for the judge to be asked about it")
        if row.order != "given":
            problems.append(f"label of '{row.id}': 'order' is for lines that say what a judge said ('judge')")
    if problems:
        raise EvidenceError(some(problems))


def _scores(
    rows: Sequence[LabelRow], metric: str, suite: Suite, cases: Mapping[str, Prompt], bench: Bench
) -> list[Score]:
    """One score a row: the metric's own assertions, asked as in a run."""
    responses = [
        Response(id=row.id, arm=Arm.CANDIDATE, output=row.output or "", repeat=number)
        for number, row in enumerate(rows)
    ]
    asked = [replace(cases[id_], asserts=_of(metric, cases[id_].asserts)) for id_ in sorted({row.id for row in rows})]
    tools = Tools(embed=open_embedder, judge=bench)
    made = score(asked, responses, _of(metric, suite.assertions), tools, load_plugins(suite.plugins))
    return sorted((each for each in made if each.metric == metric), key=lambda each: each.repeat)


def _of(metric: str, specs: Sequence[Mapping[str, object]]) -> tuple[Mapping[str, object], ...]:
    return tuple(spec for spec in specs if is_judged(spec) and metric_of(spec) == metric)


def _reseeded(judge: Judge) -> Judge:
    sampling = judge.release.sampling.model_copy(update={"seed": OTHER_SEED})
    return judge.model_copy(update={"release": judge.release.model_copy(update={"sampling": sampling})})
