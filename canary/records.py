"""The nouns of the gate, in the order data flows.

    prompts -> responses -> scores -> comparisons -> signals -> verdict

Everything here is frozen and plain: picklable, printable, comparable.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from canary.bounds import Count, Moment, Money, Readings, Replica, Seconds, Share
from canary.series import Packed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERDICT_SCHEMA = "canary-gate/verdict/1"

POOLED = "all"
"""The stratum that is all of them together."""

TRAFFIC_STAGE = "canary"
"""The stage in which two streams of routed traffic are compared."""

PASS = "pass"  # noqa: S105 - no password
"""The metric of a case as a whole."""

MINIMUM_PAIRS = 10
"""Fewer pairs decide nothing, whatever the p-value (docs/statistics.md)."""


class Arm(enum.StrEnum):
    """One of the two releases under comparison."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


class Status(enum.IntEnum):
    """A signal's answer; the order is the precedence (the composite is max)."""

    PASS = 0
    INCONCLUSIVE = 1
    FAIL = 2

    @property
    def label(self) -> str:
        """The lower-case word used in every document."""
        return self.name.lower()


class Decision(enum.StrEnum):
    """What the gate answers."""

    PROMOTE = "promote"
    HOLD = "hold"
    ROLLBACK = "rollback"


class Tier(enum.StrEnum):
    """Whether a signal decides or is only shown."""

    BLOCKING = "blocking"
    ADVISORY = "advisory"


class Scale(enum.StrEnum):
    """What kind of number a metric yields; it decides the test, not the data."""

    PASS_FAIL = "pass_fail"  # noqa: S105 - no password
    BOUNDED = "bounded"
    ORDINAL = "ordinal"
    UNBOUNDED = "unbounded"


class ErrorKind(enum.StrEnum):
    """Why a response is not an answer."""

    SERVER = "server"
    CLIENT = "client"
    THROTTLED = "throttled"
    TRUNCATED = "truncated"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"
    CONTEXT_LENGTH = "context_length"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One response's error."""

    kind: ErrorKind
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a request; every try is recorded and billed."""

    seconds: Seconds
    """Wall time of the try."""
    error: Failure | None = None
    cost_usd: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """What a check of content said of one request and its answer; a response without one was not checked."""

    classes: tuple[str, ...]
    """What it was rejected for, like `violence`; empty where it was let through."""
    seconds: Seconds | None = None
    """Time that the check added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One golden case."""

    id: str
    digest: str
    """Content identity (sha256 hex): the same id with other content differs."""
    stratum: str
    cluster: str
    """Cases that share a source share a cluster; the id where none is given."""
    vars: Mapping[str, Any]
    messages: tuple[Mapping[str, Any], ...] | None
    """Chat turns in place of `vars` and a prompt template."""
    expected: Any
    asserts: tuple[Mapping[str, Any], ...]
    """The case's own assertions, as written and already validated."""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What one arm answered to one prompt, once.

    Times are seconds, counts are tokens, money is US dollars; None is
    "not recorded". Numbers beyond their `bounds` are refused where a file is read.
    """

    id: str
    arm: Arm
    output: str
    repeat: Count = 0
    error: Failure | None = None
    ttft_s: Seconds | None = None
    """Send to first token."""
    itl_s: Packed[Seconds] | None = None
    """Gaps between consecutive tokens."""
    tpot_s: Seconds | None = None
    """(total - ttft) / (output_tokens - 1); undefined for one token."""
    total_s: Seconds | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_tokens: Count | None = None
    cost_usd: Money | None = None
    finish_reason: str | None = None
    logprobs: Packed[float] | None = None
    started_at: Moment | None = None
    """Seconds since the epoch."""
    scheduled_at: Moment | None = None
    """When an open loop was to send it, in seconds since the epoch; it was sent at `started_at`."""
    session: str | None = None
    """The key that routing sticks to, in recorded traffic."""
    tenant: str | None = None
    stratum: str | None = None
    """Kind of request, in recorded traffic; a golden case has its own."""
    share: Share | None = None
    """The candidate's assigned share of traffic when the request was routed."""
    scores: Mapping[str, Share | bool] | None = None
    """Recorded scores: numbers are `bounded`, true/false are `pass_fail`."""
    guardrail: Guardrail | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric of one response."""

    id: str
    arm: Arm
    repeat: int
    metric: str
    scale: Scale
    value: float | None
    """Higher is better; None is an abstention: neither a loss nor a pass."""
    passed: bool | None
    """The assertion's own yes or no; None for an abstention."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was tested where the data was, since the data itself is not kept."""

    id: str
    """The signal it serves, like `drift/embedding`."""
    n: int
    """Pairs behind it."""
    value: float
    p: float
    """Of no difference between the arms."""
    method: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one server said of itself at one moment; nothing where it did not answer."""

    arm: Arm | None
    """None where one engine serves both arms."""
    replica: Replica
    """Counted from zero."""
    at: Moment
    """Seconds since the epoch; the same for everything that was asked together."""
    values: Readings
    """Levels `kv_cache`, `cpu`, `memory` (0 to 1), `running`, `waiting`; counters `preemptions`, `prompt_tokens`,
    `generation_tokens`, `prefix_queries`, `prefix_hits`; `started_s`, once for each start of a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What people say of one metric of one response."""

    id: str
    arm: Arm
    repeat: int
    metric: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a verdict is computed from."""

    prompts: tuple[Prompt, ...]
    responses: tuple[Response, ...]
    scores: tuple[Score, ...]
    telemetry: tuple[Measurement, ...] = ()
    labels: tuple[Label, ...] = ()
    observations: tuple[Observation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """One quantity of one stratum, paired by prompt, sorted by prompt id."""

    name: str
    """The signal's name, or for latency the prefix of several."""
    kind: str
    """`quality`, `floor`, `errors`, `guardrail`, `added`, `latency`, `cost`, `cache`, `goodput` or `drift`."""
    stratum: str
    metric: str
    scale: Scale
    baseline: NDArray[np.float64]
    """Shape (values,); failed requests are +inf in latency comparisons."""
    candidate: NDArray[np.float64]
    clusters: NDArray[np.int64]
    """Shape (pairs,)."""
    strata: NDArray[np.int64]
    """Shape (pairs,): index into `weights`; zeros within one stratum."""
    weights: tuple[float, ...]
    """Share of each stratum in what the release serves; sums to one."""
    repeat: int = 1
    """Answers averaged into each value."""
    baseline_units: NDArray[np.int64] | None = None
    """Pair index of each baseline value; None when there is one value a pair."""
    candidate_units: NDArray[np.int64] | None = None
    timed: bool = False
    """Pairs stand in the order they were started, by the clock; those without one go first."""
    human: NDArray[np.float64] | None = None
    """Shape (2, pairs): baseline and candidate as people see them, NaN where they were not asked of both."""
    measured: Measurement | None = None
    """A test that was done already, where only its result is evidence."""
    recorded: bool
    """The scores came with the responses instead of from assertions."""
    unsettled: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    """Clusters and strata of pairs that were left open: each counts against whatever is claimed."""
    missing: tuple[str, ...]
    """Why evidence is missing, one sentence per reason; any makes it so."""
    warnings: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Pairs."""
        return int(self.clusters.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One question answered; the field names are a contract: verdict.json has them."""

    name: str
    kind: str
    stratum: str | None
    metric: str
    tier: Tier
    status: Status
    baseline: float | None
    candidate: float | None
    effect: str
    """`difference` or `ratio`, candidate against baseline."""
    estimate: float | None
    low: float | None
    high: float | None
    margin: float | None
    n: int
    method: str
    p_harm: float | None
    p_harm_adjusted: float | None
    p_noninferior: float | None
    need: int | None
    """How many more pairs, or units of the smaller arm of traffic, would settle it."""
    reason: str
    warnings: tuple[str, ...]
    runbook: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """A named OR/AND/NOT expression over blocking signals."""

    name: str
    status: Status
    expression: Any
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The identity of one release in a verdict."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What looking during the run was allowed to do, and what it did."""

    alpha: Mapping[str, float]
    """Share of each promise that the looks spend."""
    final: Mapping[str, float]
    """What is left of it for the one test at the end."""
    cases: int
    """Cases of the plan; requests of routed traffic."""
    seen: int
    """Cases at the last look."""
    stopped_at: int | None
    """Cases after which it was certain; the verdict rests on these. None where it never was."""
    signal: str | None
    """The signal whose harm was certain; None where none was, or all were inside their margins."""
    e_value: float | None
    """Its e-value, adjusted for the family; the least of all for a promotion."""
    saved: float | None
    """Share of the cases that were not asked."""
    saved_s: float | None
    """About how many seconds of both arms that saved; None where answers carry no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The gate's answer with everything it rests on."""

    verdict: Decision
    reason: str
    stage: str
    baseline: Side
    candidate: Side
    alpha: Mapping[str, float]
    """What is promised, whether looks share in it or not."""
    looks: Looks | None = None
    """None where nothing is looked at before the end."""
    signals: tuple[Signal, ...]
    composites: tuple[Composite, ...]
    warnings: tuple[str, ...]
    record: Mapping[str, Any]
    schema: str = VERDICT_SCHEMA
