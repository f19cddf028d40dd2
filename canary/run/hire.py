"""What a request costs of a release that is paid by the hour.

In a closed loop a request is one of so many in flight, and what runs it does
the work of all of them at once: its share for as long as it took is its own
(Little's law: requests/s = in flight / time in the system). The shares add up
to the time that the arm would be busy by itself, its places always filled, so
that the ratio of two arms' mean costs is that of their throughputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from canary.compare.cost import spent_s
from canary.pipeline import Pipeline, RayRunner, gpus_of
from canary.protocols import Answers
from canary.records import Arm, Response
from canary.release import HourlyPrice, LiveRelease, TransformersRelease


def rate_of(pipeline: Pipeline, arm: Arm) -> float | None:
    """US dollars for a second of one request's own time; None where an arm is not paid by the hour.

    The engine `transformers` answers one request at a time, which has its
    replica to itself.
    """
    release = pipeline.releases[arm]
    if not isinstance(release, LiveRelease) or not isinstance(release.price, HourlyPrice):
        return None
    replica = release.price.per_second(gpus_of(pipeline.runner))
    if isinstance(release, TransformersRelease):
        return replica
    replicas = pipeline.runner.replicas if isinstance(pipeline.runner, RayRunner) else 1
    return replica * replicas / pipeline.concurrency


def billing(pipeline: Pipeline) -> Callable[[Answers], Answers]:
    """Writes the cost of their time into both arms' answers, where an arm is paid by the hour."""
    of_baseline, of_candidate = (rate_of(pipeline, arm) for arm in (Arm.BASELINE, Arm.CANDIDATE))

    def bill(answers: Answers) -> Answers:
        baseline, candidate = answers
        return billed(baseline, of_baseline), billed(candidate, of_candidate)

    return bill


def billed(response: Response | None, rate: float | None) -> Response | None:
    """The response with the cost of its time, every try of it, whether it failed or not.

    None where no time is known, as of a process that died.
    """
    if response is None or rate is None:
        return response
    tries = tuple(replace(each, cost_usd=each.seconds * rate) for each in response.attempts)
    seconds = spent_s(response)
    return replace(response, attempts=tries, cost_usd=None if seconds is None else seconds * rate)
