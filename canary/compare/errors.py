"""Errors, paired per prompt: one comparison a kind of error."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from canary.assertions.scoring import effective_failure
from canary.compare.table import Table, absences, pooled
from canary.records import POOLED, Arm, Comparison, ErrorKind, Scale

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
        yield _comparison(table, signal, kinds)


def error_differences(table: Table) -> dict[str, NDArray[np.float64]]:
    """Candidate minus baseline of the success rates of every kind of error, shape (cases,); a fall is harm."""
    kinds = {arm: _kinds(table, arm) for arm in Arm}
    return {
        signal: _success(table, kinds[Arm.CANDIDATE], signal) - _success(table, kinds[Arm.BASELINE], signal)
        for signal in sorted(set(SIGNAL_OF.values()))
    }


def _kinds(table: Table, arm: Arm) -> list[ErrorKind | None]:
    kinds: list[ErrorKind | None] = []
    for row, response in enumerate(table.answers(arm)):
        prompt = table.prompts[row // table.repeat]
        failure = None if response is None else effective_failure(prompt, response)
        kinds.append(None if failure is None else failure.kind)
    return kinds


def _comparison(table: Table, signal: str, kinds: dict[Arm, list[ErrorKind | None]]) -> Comparison:
    return pooled(
        table,
        {arm: _success(table, of_arm, signal) for arm, of_arm in kinds.items()},
        kind="errors",
        metric=signal,
        scale=Scale.PASS_FAIL,
        missing=(*absences(table, table.selection(POOLED)), *_client_errors(kinds)),
        used=~(table.absent(Arm.BASELINE) | table.absent(Arm.CANDIDATE)),
    )


def _success(table: Table, kinds: list[ErrorKind | None], signal: str) -> NDArray[np.float64]:
    failed = np.fromiter((kind is not None and SIGNAL_OF.get(kind) == signal for kind in kinds), bool, len(kinds))
    return np.asarray(1.0 - failed.reshape(-1, table.repeat).mean(axis=1))


def _client_errors(kinds: dict[Arm, list[ErrorKind | None]]) -> tuple[str, ...]:
    counts = {arm: sum(kind is ErrorKind.CLIENT for kind in of_arm) for arm, of_arm in kinds.items()}
    return tuple(
        f"{count} {arm} responses are client errors: our requests were wrong, which says nothing of the release"
        for arm, count in counts.items()
        if count
    )
