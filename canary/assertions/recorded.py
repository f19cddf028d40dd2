"""Scores that came with the responses instead of from assertions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from canary.errors import EvidenceError
from canary.records import Response, Scale, Score


def recorded_scores(responses: Sequence[Response], scales: Mapping[str, Scale]) -> list[Score]:
    """One score per response and metric, for every metric any response carries.

    True and false are pass/fail, numbers are bounded by 0 and 1, unless
    `scales` declares the metric otherwise. An errored response scores 0; one
    that lacks a metric abstains, which is missing evidence. Raises
    EvidenceError for a value its scale does not allow.
    """
    metrics = sorted({metric for response in responses for metric in response.scores or ()})
    declared = {metric: scales.get(metric) or _scale(metric, responses) for metric in metrics}
    return [score for response in responses for score in _scores(response, declared)]


def _scale(metric: str, responses: Sequence[Response]) -> Scale:
    """Pass/fail only where every line says true or false."""
    values = (response.scores[metric] for response in responses if response.scores and metric in response.scores)
    return Scale.PASS_FAIL if all(isinstance(value, bool) for value in values) else Scale.BOUNDED


def _scores(response: Response, declared: Mapping[str, Scale]) -> Iterator[Score]:
    for metric, scale in declared.items():
        value, reason = _value(response, metric, scale)
        yield Score(
            id=response.id,
            arm=response.arm,
            repeat=response.repeat,
            metric=metric,
            scale=scale,
            value=value,
            passed=None if value is None else value >= 1,
            reason=reason,
        )


def _value(response: Response, metric: str, scale: Scale) -> tuple[float | None, str]:
    if response.error is not None:
        return 0.0, f"errored: {response.error.kind}"
    if response.scores is None or metric not in response.scores:
        return None, f"not recorded for {response.arm} {response.id!r}"
    value = float(response.scores[metric])
    if scale is Scale.PASS_FAIL and value not in {0.0, 1.0}:
        raise EvidenceError(
            f"{response.arm}: 'scores.{metric}' of {response.id!r} must be 0 or 1, as scale pass_fail says (got {value:g})"
        )
    return value, ""
