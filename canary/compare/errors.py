"""Errors, paired per prompt: one comparison a kind of error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from canary.assertions.scoring import effective_failure
from canary.compare.table import SERVER_FAULTS, Table, absences, pooled
from canary.records import POOLED, Arm, Comparison, ErrorKind, Failure, Response, Scale

SIGNAL_OF = {
    ErrorKind.SERVER: "server",
    ErrorKind.THROTTLED: "server",
    ErrorKind.TRUNCATED: "truncated",
    ErrorKind.REFUSAL: "refusal",
    ErrorKind.MALFORMED: "malformed",
    ErrorKind.CONTENT_FILTER: "content_filter",
    ErrorKind.CONTEXT_LENGTH: "context_length",
}
"""The error rate each kind counts in; a client error is ours and counts in none."""

ALWAYS = ("server", "truncated", "refusal", "malformed")
"""Measured even when nothing went wrong: a line without error is a success."""


def error_comparisons(table: Table) -> Iterator[Comparison]:
    """The four rates that are always measured, and any other that occurred.

    Values are success rates per prompt (1 is "no such error"), so that
    higher is better as everywhere.
    """
    kinds = {arm: _kinds(table, arm) for arm in Arm}
    seen = {SIGNAL_OF[kind] for of_arm in kinds.values() for kind in of_arm if kind in SIGNAL_OF}
    for signal in (*ALWAYS, *sorted(seen - set(ALWAYS))):
        marks = {arm: _marked(of_arm, signal) for arm, of_arm in kinds.items()}
        yield _comparison(table, signal, marks, _client_errors(kinds))
    if any(map(_is_second, (*table.baseline, *table.candidate))):
        yield _first_tries(table)


def error_differences(table: Table) -> dict[str, NDArray[np.float64]]:
    """Candidate minus baseline of the success rates of every kind of error, shape (cases,); a fall is harm."""
    kinds = {arm: _kinds(table, arm) for arm in Arm}
    return {
        signal: _success(table, _marked(kinds[Arm.CANDIDATE], signal))
        - _success(table, _marked(kinds[Arm.BASELINE], signal))
        for signal in sorted(set(SIGNAL_OF.values()))
    }


def _kinds(table: Table, arm: Arm) -> list[ErrorKind | None]:
    kinds: list[ErrorKind | None] = []
    for row, response in enumerate(table.answers(arm)):
        prompt = table.prompts[row // table.repeat]
        failure = None if response is None else effective_failure(prompt, response)
        kinds.append(None if failure is None else failure.kind)
    return kinds


def _first_tries(table: Table) -> Comparison:
    """Requests of which a try failed: what a second one says of times and answers hides that."""
    failed = {arm: [any(map(_is_failed, _tries(answer))) for answer in table.answers(arm)] for arm in Arm}
    told = tuple(
        f"{count} {arm} answers are of a second try, and so are their times"
        for arm in Arm
        if (count := sum(map(_is_second, table.answers(arm))))
    )
    return replace(_comparison(table, "first_try", failed), warnings=told)


def _tries(response: Response | None) -> tuple[Failure | None, ...]:
    """What became of every try, the last one's too."""
    return () if response is None else (*(each.error for each in response.attempts), response.error)


def _is_failed(failure: Failure | None) -> bool:
    return failure is not None and failure.kind in SERVER_FAULTS


def _is_second(response: Response | None) -> bool:
    """Whether it was answered after a try that failed."""
    *before, last = _tries(response) or (None,)
    return not _is_failed(last) and any(map(_is_failed, before))


def _comparison(
    table: Table, signal: str, failed: Mapping[Arm, Sequence[bool]], missing: tuple[str, ...] = ()
) -> Comparison:
    return pooled(
        table,
        {arm: _success(table, of_arm) for arm, of_arm in failed.items()},
        kind="errors",
        metric=signal,
        scale=Scale.PASS_FAIL,
        missing=(*absences(table, table.selection(POOLED)), *missing),
        used=~(table.absent(Arm.BASELINE) | table.absent(Arm.CANDIDATE)),
    )


def _marked(kinds: Sequence[ErrorKind | None], signal: str) -> list[bool]:
    return [kind is not None and SIGNAL_OF.get(kind) == signal for kind in kinds]


def _success(table: Table, failed: Sequence[bool]) -> NDArray[np.float64]:
    return np.asarray(1.0 - np.array(failed, dtype=bool).reshape(-1, table.repeat).mean(axis=1))


def _client_errors(kinds: dict[Arm, list[ErrorKind | None]]) -> tuple[str, ...]:
    counts = {arm: sum(kind is ErrorKind.CLIENT for kind in of_arm) for arm, of_arm in kinds.items()}
    return tuple(
        f"{count} {arm} responses are client errors: our requests were wrong, which says nothing of the release"
        for arm, count in counts.items()
        if count
    )
