"""Rejections by a check of content, paired per prompt: one comparison a class, and one of the time the check adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from canary.assertions.guardrails import is_asserted_rejection, rejections
from canary.compare.table import Table, absences, pooled, slug
from canary.plan import Plan
from canary.records import POOLED, Arm, Comparison, ErrorKind, Prompt, Response, Scale

UNCHECKED = "do not say what a guardrail made of them: give 'guardrail'"
PREFIX = "guardrail/"
_NEVER_CHECKED = (
    ErrorKind.SERVER,
    ErrorKind.THROTTLED,
    ErrorKind.CLIENT,
    ErrorKind.MALFORMED,
    ErrorKind.CONTEXT_LENGTH,
)
"""Failures that may come before any check."""

Classes = frozenset[str] | None
"""What a response was rejected for, as it stands in names of signals; None where nobody says."""


def guardrail_comparisons(table: Table, plan: Plan) -> Iterator[Comparison]:
    """Every class that rejected anything in either arm, or that the policy asks for by name.

    Values are shares let through per prompt, so that higher is better as
    everywhere. Without any record of a check there is nothing to compare: a
    filter's rejections are errors then, and no more.
    """
    found = {
        arm: [_of(table.prompts[row // table.repeat], answer) for row, answer in enumerate(table.answers(arm))]
        for arm in Arm
    }
    answers = [answer for arm in Arm for answer in table.answers(arm)]
    missing = tuple(_unchecked(table, found))
    for name in class_names(answers, [classes for of_arm in found.values() for classes in of_arm], plan):
        yield _comparison(table, name, found, missing)
    yield from _added(table)


def class_names(answers: Sequence[Response | None], found: Sequence[Classes], plan: Plan) -> list[str]:
    """The classes to compare, sorted."""
    is_checked = any(answer is not None and answer.guardrail is not None for answer in answers)
    seen = {name for classes in found if is_checked for name in classes or ()}
    return sorted(seen | {name.removeprefix(PREFIX) for name in plan.required if name.startswith(PREFIX)})


def classes_of(response: Response) -> Classes:
    """What a response was rejected for."""
    classes = rejections(response)
    return None if classes is None else frozenset(map(slug, classes))


def lacks_check(response: Response) -> bool:
    """Whether a check should have spoken of it, and did not."""
    excused = response.error is not None and response.error.kind in _NEVER_CHECKED
    return not excused and classes_of(response) is None


def _of(prompt: Prompt, response: Response | None) -> Classes:
    if response is None:
        return None
    return frozenset() if is_asserted_rejection(prompt, response) else classes_of(response)


def _unchecked(table: Table, found: dict[Arm, list[Classes]]) -> Iterator[str]:
    for arm in found:
        answers = [answer for answer in table.answers(arm) if answer is not None]
        without = sum(map(lacks_check, answers))
        if without:
            yield f"{without} of {len(answers)} {arm} responses {UNCHECKED}"


def _comparison(table: Table, name: str, found: dict[Arm, list[Classes]], missing: tuple[str, ...]) -> Comparison:
    arms = {arm: _let_through(table, name, of_arm) for arm, of_arm in found.items()}
    return pooled(
        table,
        arms,
        kind="guardrail",
        metric=name,
        scale=Scale.PASS_FAIL,
        missing=(*absences(table, table.selection(POOLED)), *missing),
    )


def _let_through(table: Table, name: str, found: list[Classes]) -> NDArray[np.float64]:
    rows = [np.nan if classes is None else float(name not in classes) for classes in found]
    return np.asarray(np.reshape(rows, (-1, table.repeat)).mean(axis=1))


def _added(table: Table) -> Iterator[Comparison]:
    """Seconds that the check added, where both arms say so."""
    seconds = {arm: table.means(arm, _seconds) for arm in Arm}
    if not any(np.isfinite(values).any() for values in seconds.values()):
        return
    without = {
        arm: sum(answer is not None and answer.guardrail is not None and answer.guardrail.seconds is None
                 for answer in table.answers(arm))
        for arm in Arm
    }  # fmt: skip
    missing = tuple(f"{n} {arm} responses were checked in a time nobody recorded" for arm, n in without.items() if n)
    compared = pooled(table, seconds, kind="latency", metric="guardrail", scale=Scale.UNBOUNDED, missing=missing)
    yield replace(compared, kind="added")


def _seconds(response: Response | None) -> float:
    guardrail = None if response is None else response.guardrail
    return np.nan if guardrail is None or guardrail.seconds is None else guardrail.seconds
