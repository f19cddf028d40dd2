"""Times to first token, one live-like stream: this gate beside Kayenta's rule.

2,000 pairs of requests, one a second; a lognormal body of median 0.2 s and a
slow share at eight times that. The gate decides as it does in product, by
`canary.signals`; Kayenta's rule is given the requests, and once more
the means of every minute, which is what its users feed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.decisions.cell import BETWEEN, HARM, UNCHANGED
from benchmarks.decisions.counts import PROMOTE, ROLLBACK, Floats, Ints
from benchmarks.decisions.kayenta import HIGH, judge_values, rank_statistic
from benchmarks.decisions.product import DECISION, plan_of
from canary.compare.errors import ALWAYS
from canary.evaluate import evaluate
from canary.gate import decide
from canary.plan import Plan
from canary.records import Arm, Comparison, Evidence, Prompt, Response, Scale, Score, Status
from canary.signals import SIGNALS
from canary.signals.reading import Reading
from canary.signals.status import settle

REQUESTS, MEDIAN_S, SIGMA, SLOW_FACTOR = 2_000, 0.2, 0.3, 8.0
_MINUTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What is true of a candidate's times."""

    truth: str
    kind: str
    body: float
    """Factor on every time."""
    slow: float
    """Share at eight times the body; the baseline's is 0.02."""
    runs: int
    """A run takes a twentieth of a second, so only the first two have many."""


STREAMS = (
    Stream(truth="unchanged", kind=UNCHANGED, body=1.0, slow=0.02, runs=2_000),
    Stream(truth="slow share 2 % to 4 %", kind=HARM, body=1.0, slow=0.04, runs=2_000),
    Stream(truth="every request +10 %", kind=BETWEEN, body=1.1, slow=0.02, runs=400),
    Stream(truth="every request +20 %", kind=HARM, body=1.2, slow=0.02, runs=400),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What each rule said of R runs, arrays (R,)."""

    gate: Ints
    body_blamed: float
    """Share of runs in which TM95, the body, fails."""
    kayenta_requests: Ints
    kayenta_minutes: Ints


def judge_stream(stream: Stream, runs: int | None = None) -> Verdicts:
    """All rules on the same simulated runs."""
    rng, count = np.random.default_rng((STREAMS.index(stream), REQUESTS)), runs or stream.runs
    plan = plan_of({"default": REQUESTS})
    steady = steady_readings(plan)
    gate, requests, minutes = (np.zeros(count, dtype=np.int64) for _ in range(3))
    blamed = 0
    for run in range(count):
        baseline, candidate = draw(stream, rng)
        gate[run], body = decide_times(baseline, candidate, plan, steady)
        blamed += body is Status.FAIL
        requests[run] = _verdict(baseline, candidate)
        minutes[run] = _verdict(by_minute(baseline), by_minute(candidate))
    return Verdicts(gate=gate, body_blamed=blamed / count, kayenta_requests=requests, kayenta_minutes=minutes)


def draw(stream: Stream, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Times of both arms in seconds, (2000,) each."""
    arms = MEDIAN_S * rng.lognormal(0, SIGMA, (2, REQUESTS)) * np.array([[1.0], [stream.body]])
    slow = rng.random((2, REQUESTS)) < np.array([[0.02], [stream.slow]])
    baseline, candidate = np.where(slow, SLOW_FACTOR * arms, arms)
    return baseline, candidate


def decide_times(baseline: Floats, candidate: Floats, plan: Plan, steady: Sequence[Reading]) -> tuple[int, Status]:
    """The gate's verdict on times beside what never varies, and the status of the body."""
    times = _comparison("latency/ttft", "latency", "ttft", (baseline, candidate))
    signals = settle([*steady, *SIGNALS["latency"](times, plan)], plan.policy)
    body = next(signal.status for signal in signals if signal.name == "latency/ttft/tm95")
    return DECISION[decide(signals, plan, {}).verdict], body


def steady_readings(plan: Plan) -> tuple[Reading, ...]:
    """What the gate reads in scores of 1 and no error, the same in every run."""
    ones = np.ones(REQUESTS)
    fixed = (
        _comparison("quality/all/correct", "quality", "correct", (ones, ones), recorded=True),
        *(_comparison(f"errors/{kind}", "errors", kind, (ones, ones)) for kind in ALWAYS),
    )
    return tuple(reading for comparison in fixed for reading in SIGNALS[comparison.kind](comparison, plan))


def _comparison(
    name: str, kind: str, metric: str, arms: tuple[Floats, Floats], *, recorded: bool = False
) -> Comparison:
    units, is_time = np.arange(REQUESTS), kind == "latency"
    return Comparison(
        name=name,
        kind=kind,
        stratum="all",
        metric=metric,
        scale=Scale.UNBOUNDED if is_time else Scale.PASS_FAIL,
        baseline=arms[0],
        candidate=arms[1],
        clusters=units,
        strata=np.zeros(REQUESTS, dtype=np.int64),
        weights=(1.0,),
        baseline_units=units if is_time else None,
        candidate_units=units if is_time else None,
        timed=is_time,
        recorded=recorded,
        missing=(),
    )


def product_verdict(baseline: Floats, candidate: Floats, plan: Plan) -> int:
    """The same from responses through `canary.evaluate`."""
    ids = [f"case-{i:05d}" for i in range(REQUESTS)]
    prompts = tuple(
        Prompt(id=i, digest=i, stratum="default", cluster=i, vars={}, messages=None, expected=None, asserts=())
        for i in ids
    )
    responses = tuple(
        Response(id=i, arm=arm, output="", scores={"correct": True}, ttft_s=float(time), started_at=float(second))
        for arm, times in zip(Arm, (baseline, candidate), strict=True)
        for second, (i, time) in enumerate(zip(ids, times, strict=True))
    )
    scores = tuple(
        Score(id=i, arm=arm, repeat=0, metric="correct", scale=Scale.PASS_FAIL, value=1.0, passed=True)
        for arm in Arm
        for i in ids
    )
    return DECISION[evaluate(Evidence(prompts=prompts, responses=responses, scores=scores), plan).verdict]


def by_minute(times: Floats) -> Floats:
    """Means of sixty requests at a time; the last few may be fewer."""
    starts = np.arange(0, times.size, _MINUTE)
    return np.asarray(np.add.reduceat(times, starts) / np.diff(np.append(starts, times.size)))


def _verdict(baseline: Floats, candidate: Floats) -> int:
    """Roll back when Kayenta calls the candidate High, its direction being `increase`."""
    if rank_statistic(baseline, candidate)(np.zeros(1))[0] < 2:
        return PROMOTE  # the shift's lower 98 % bound is below 0: it cannot be High
    return ROLLBACK if judge_values(baseline, candidate) == HIGH else PROMOTE
