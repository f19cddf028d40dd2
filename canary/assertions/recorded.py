"""Scores that came with the responses instead of from assertions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from canary.records import Response, Scale, Score


def recorded_scores(responses: Sequence[Response]) -> list[Score]:
    """One score per response and metric, for every metric any response carries.

    True and false are pass/fail, numbers are bounded by 0 and 1 (a policy may
    declare another scale). An errored response scores 0; one that lacks a
    metric abstains, which is missing evidence.
    """
    metrics = sorted({metric for response in responses for metric in response.scores or ()})
    declared = {metric: _scale(metric, responses) for metric in metrics}
    return [score for response in responses for score in _scores(response, declared)]


def _scale(metric: str, responses: Sequence[Response]) -> Scale:
    """Pass/fail only where every line says true or false."""
    values = (response.scores[metric] for response in responses if response.scores and metric in response.scores)
    return Scale.PASS_FAIL if all(isinstance(value, bool) for value in values) else Scale.BOUNDED


def _scores(response: Response, declared: Mapping[str, Scale]) -> Iterator[Score]:
    for metric, scale in declared.items():
        value, reason = _value(response, metric)
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


def _value(response: Response, metric: str) -> tuple[float | None, str]:
    if response.error is not None:
        return 0.0, f"errored: {response.error.kind}"
    if response.scores is None or metric not in response.scores:
        return None, f"not recorded for {response.arm} {response.id!r}"
    return float(response.scores[metric]), ""
