"""Responses in, scores out: which assertions apply, and what their grades mean.

- A case is graded by the suite's default assertions and its own; one without
  either, by equality with `expected` (metric `exact`).
- An errored response scores 0 for every one of them, `not-` forms included,
  and no assertion sees it. Only a reported refusal on a case that itself
  asserts `is-refusal`, and a filter's rejection on one that itself asserts
  `not-guardrails`, are no error.
- What is held against the baseline's own answer (`{{baseline}}`) is given the
  next one of the same case; without one it abstains.
- What raises, or gives no finite number in its scale's range, abstains.
- Several assertions of one metric on a case are one score: the mean, or for
  yes and no the conjunction; it abstains if one of them does.
- Metric `pass`: 1 if all of a case's assertions passed, 0 if one failed, else
  an abstention. What a judge decides is no part of it: a judge answers for
  itself, under its own metric. A case that a judge alone grades abstains.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any

from canary.assertions.asking import judge_once
from canary.assertions.attempt import abstain, attempt
from canary.assertions.beside import baseline_answers, beside
from canary.assertions.binding import Bound, bind
from canary.assertions.embedding import AskOnce
from canary.assertions.excerpt import LONGEST, excerpt, shorten
from canary.assertions.guardrails import is_asserted_rejection
from canary.protocols import Assertion, Grade, Tools
from canary.records import PASS, ErrorKind, Failure, Prompt, Response, Scale, Score


def effective_failure(prompt: Prompt, response: Response) -> Failure | None:
    """The response's error, unless it is the refusal or the rejection that the case asserts."""
    error = response.error
    if error is None:
        return None
    if error.kind is ErrorKind.REFUSAL and _asserts_refusal(prompt):
        return None
    if error.kind is ErrorKind.CONTENT_FILTER and is_asserted_rejection(prompt, response):
        return None
    return error


def _asserts_refusal(prompt: Prompt) -> bool:
    return any(spec.get("type") == "is-refusal" for spec in prompt.asserts)


def score(
    prompts: Sequence[Prompt],
    responses: Sequence[Response],
    default_specs: Sequence[Mapping[str, Any]],
    tools: Tools,
    plugins: Mapping[str, type],
    stage: str = "staging",
    judged: Container[str] | None = None,
) -> list[Score]:
    """Each metric of each response, `pass` last, in the order of the responses.

    `judged` are the cases that a judge is asked about; None is all of them.

    Stage `build` applies structural assertions only; a case that has none gets
    no score there. Every response answers one of the prompts. Raises ConfigError
    and GoldenSetError as `bind` does.
    """
    bound = bind(prompts, default_specs, plugins, stage, judged)
    cases = {prompt.id: prompt for prompt in prompts}
    grades = _graded([(cases[response.id], response) for response in responses], bound, tools)
    return [
        made
        for response, own in zip(responses, grades, strict=True)
        for made in _scores(response, bound[response.id], own)
    ]


@dataclass(slots=True)
class _Job:
    """All responses that one assertion grades, with the places of its grades."""

    assertion: Assertion
    pairs: list[tuple[Prompt, Response]]
    places: list[tuple[list[Grade], int]]


def _graded(pairs: Sequence[tuple[Prompt, Response]], bound: Mapping[str, Bound], tools: Tools) -> list[list[Grade]]:
    """Per pair, the grades of its assertions in their order."""
    grades: list[list[Grade]] = []
    jobs: dict[int, _Job] = {}
    answers = baseline_answers(pairs, effective_failure)
    for prompt, response in pairs:
        mine = bound[prompt.id]
        failure = effective_failure(prompt, response)
        own = [_UNKNOWN if failure is None else _lost(failure)] * len(mine.assertions)
        grades.append(own)
        for index, assertion in enumerate(mine.assertions if failure is None else ()):
            case = beside(prompt, response, answers) if index in mine.referring else prompt
            if isinstance(case, Grade):
                own[index] = case
                continue
            job = jobs.get(id(assertion)) or jobs.setdefault(id(assertion), _Job(assertion, [], []))
            job.pairs.append((case, response))
            job.places.append((own, index))
    _run(list(jobs.values()), tools)
    return grades


_UNKNOWN = abstain("not graded")
_ALONE = abstain("only a judge grades it: have the policy name the judge's metric, or add an assertion that needs none")


def _lost(failure: Failure) -> Grade:
    return Grade(value=0.0, passed=False, reason=shorten(f"error {failure.kind}: {excerpt(failure.message)}"))


def _run(jobs: Sequence[_Job], tools: Tools) -> None:
    work = [(job.assertion, job.pairs) for job in jobs]
    once = AskOnce(tools.embed, work)
    shared = replace(tools, embed=lambda: once, judge=judge_once(tools.judge, work))
    for job in jobs:
        scale = job.assertion.scale
        for (own, index), grade in zip(job.places, _ask(job, shared), strict=True):
            own[index] = attempt(partial(checked, grade, scale), abstain)


def _ask(job: _Job, tools: Tools) -> Sequence[Any]:
    n = len(job.pairs)
    found = attempt(partial(job.assertion, job.pairs, tools), lambda reason: [abstain(reason)] * n)
    if isinstance(found, Sequence) and len(found) == n:
        return found
    return [abstain(f"gave {excerpt(found)} for {n} responses, not a grade for each")] * n


def checked(grade: Any, scale: Scale) -> Grade:
    """The grade, or an abstention that says what it lacks to be one."""
    if not isinstance(grade, Grade):
        return abstain(f"gave {excerpt(grade)}, not a grade")
    if grade.value is None:
        return abstain(shorten(grade.reason))
    if _is_plain(grade, scale):
        return grade
    problem = attempt(partial(_problem, grade, scale), str)
    if problem:
        return abstain(shorten(f"{problem}: {grade.reason}"))
    return Grade(value=float(grade.value), passed=bool(grade.passed), reason=shorten(str(grade.reason)))


def _is_plain(grade: Grade, scale: Scale) -> bool:
    """Whether there is nothing to check: what most grades are."""
    known = (grade.value == 0.0 or grade.value == 1.0) and (grade.passed is True or grade.passed is False)  # noqa: PLR1714
    short = type(grade.reason) is str and len(grade.reason) <= LONGEST and grade.reason.isprintable()
    return known and short and type(grade.value) is float and scale is not Scale.UNBOUNDED


def _problem(grade: Grade, scale: Scale) -> str | None:
    value = float(grade.value or 0.0)
    if not math.isfinite(value):
        return f"gave {value}, not a finite number"
    if scale is Scale.PASS_FAIL and value not in (0.0, 1.0):
        return f"gave {value:g}, not the 0 or 1 of a {scale} score"
    if scale is Scale.BOUNDED and not 0.0 <= value <= 1.0:
        return f"gave {value:g}, outside 0..1"
    return None if grade.passed is not None else f"gave {value:g}, but neither pass nor fail"


def _scores(response: Response, bound: Bound, grades: Sequence[Grade]) -> Iterator[Score]:
    if not grades and not bound.by_judge_alone:
        if response.error is not None:  # an error is no pass, whatever the case asserts
            yield _score(response, PASS, Scale.PASS_FAIL, _lost(response.error))
        return
    for metric, (scale, places) in bound.metrics.items():
        grade = grades[places[0]] if len(places) == 1 else _merged([grades[place] for place in places], scale)
        yield _score(response, metric, scale, grade)
    if bound.by_judge_alone:
        yield _score(response, PASS, Scale.PASS_FAIL, _ALONE)
    else:
        yield _score(response, PASS, Scale.PASS_FAIL, _conjunction(bound, grades))


def _score(response: Response, metric: str, scale: Scale, grade: Grade) -> Score:
    return Score(
        id=response.id,
        arm=response.arm,
        repeat=response.repeat,
        metric=metric,
        scale=scale,
        value=grade.value,
        passed=grade.passed,
        reason=grade.reason,
    )


def _merged(grades: Sequence[Grade], scale: Scale) -> Grade:
    """Several assertions of one metric as one grade."""
    values = [grade.value for grade in grades if grade.value is not None]
    reason = shorten("; ".join(grade.reason for grade in grades))
    if len(values) < len(grades):
        return abstain(reason)
    passed = all(grade.passed for grade in grades)
    return Grade(value=float(passed) if scale is Scale.PASS_FAIL else fmean(values), passed=passed, reason=reason)


def _conjunction(bound: Bound, grades: Sequence[Grade]) -> Grade:
    """The case as a whole, judges aside; a fail outweighs an abstention."""
    counted = {index: grade for index, grade in enumerate(grades) if index not in bound.left_out}
    failed = [index for index, grade in counted.items() if grade.passed is False]
    if failed:
        return Grade(value=0.0, passed=False, reason=_named(bound, grades, failed))
    unknown = [index for index, grade in counted.items() if grade.passed is None]
    if unknown:
        return abstain(_named(bound, grades, unknown))
    (only, *more) = counted.values()
    return Grade(value=1.0, passed=True, reason=f"passes all {len(counted)}" if more else only.reason)


def _named(bound: Bound, grades: Sequence[Grade], places: Sequence[int]) -> str:
    return shorten("; ".join(f"{bound.assertions[place].metric}: {grades[place].reason}" for place in places))
