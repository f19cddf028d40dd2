"""Cumulative shares of both arms."""

from __future__ import annotations

import dataclasses

import pytest

from canary.records import Arm, ErrorKind, Evidence, Failure, Response
from canary.reporters.html.distribution import distributions


def evidence(baseline: list[float | None], candidate: list[float | None]) -> Evidence:
    """Requests with these times to the first token; None is a failed one."""
    answers = [
        Response(
            id=str(number),
            arm=arm,
            output="x",
            ttft_s=time,
            error=None if time is not None else Failure(kind=ErrorKind.SERVER, message="503"),
        )
        for arm, times in ((Arm.BASELINE, baseline), (Arm.CANDIDATE, candidate))
        for number, time in enumerate(times)
    ]
    return Evidence(prompts=(), responses=tuple(answers), scores=())


def test_a_failed_request_was_never_fast() -> None:
    """One failure in four leaves its arm's curve at 75 percent; the other's reaches the top."""
    (one,) = distributions(evidence([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, None]))
    ends = [curve.points.split()[-1] for curve in one.curves]

    assert one.title == "Time to first token"
    assert ends == ["100.0,0.0", "100.0,25.0"]
    assert dict(zip(one.headings, one.curves[1].facts, strict=True))["failed"] == "1"


def test_facts_are_the_numbers() -> None:
    """Mean and median of 0.1 to 0.4 s are 250 ms, the slowest 400 ms."""
    (one,) = distributions(evidence([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]))
    facts = dict(zip(one.headings, one.curves[0].facts, strict=True))

    assert (facts["mean"], facts["p50"], facts["max"], facts["n"]) == ("250 ms", "250 ms", "400 ms", "4")


def test_what_one_arm_lacks_is_not_compared() -> None:
    """A quantity that only one arm carries has no distribution, nor has one that nobody carries."""
    assert distributions(evidence([0.1, 0.2], [None, None])) == ()


@pytest.mark.parametrize("time", [0.0, 0.25])
def test_one_value_is_a_step(time: float) -> None:
    """Equal times, even zero, are drawn and nothing divides by their range."""
    (one,) = distributions(evidence([time] * 3, [time] * 3))

    assert one.curves[0].points.split()[0].endswith(",100.0")
    assert one.curves[0].points.split()[-1].endswith(",0.0")


def test_costs_are_summed() -> None:
    """What all requests cost together is one of the facts."""
    costs = tuple(Response(id=str(number), arm=arm, output="x", cost_usd=0.5) for arm in Arm for number in range(4))
    (one,) = distributions(dataclasses.replace(evidence([], []), responses=costs))

    assert dict(zip(one.headings, one.curves[0].facts, strict=True))["sum"] == "$2.00"
