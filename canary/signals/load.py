"""Was the load that an open loop asked for the one that was offered?

A request that is sent late was left out of the crowd that it belongs to, and
no latency shows that it waited: the wait was on our side. Where that befell
many, what was measured is a milder load. This has no p-value and stands
outside of the family of tests; it never fails, so that harm which shows at the
milder load stays harm.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from canary.plan import Plan
from canary.records import Arm, Response, Signal, Status, Tier
from canary.signals.runbook import with_runbook
from canary.signals.untested import UNTESTED
from canary.signals.wording import MISSING, seconds

LATE_S = 0.1
"""A request sent later than this after it was due is late."""
TOLD = 0.01
"""A larger share of late requests is warned of: tm99 leaves out so many."""
MOST = 0.05
"""A larger share is missing evidence: tm95 leaves out so many."""
REMEDY = "raise 'concurrency', lower the load, or give the client more CPU"


def load_signals(responses: Iterable[Response], plan: Plan) -> tuple[Signal, ...]:
    """`load/late` of a run with an open loop that asks both arms, else nothing."""
    if plan.load is None or plan.stage == "build":
        return ()
    late: dict[Arm, list[float]] = {arm: [] for arm in Arm}
    for response in responses:
        late[response.arm].append(lateness(response))
    arms = tuple(np.array(late[arm], dtype=float) for arm in Arm)
    shares = [float(np.mean(arm > LATE_S)) if arm.size else None for arm in arms]
    status, reason, warnings = _judge([1.0 if share is None else share for share in shares], _told(arms))
    signal = Signal(
        name="load/late",
        kind="load",
        metric="late",
        tier=Tier.BLOCKING,
        status=status,
        baseline=shares[0],
        candidate=shares[1],
        effect="difference",
        estimate=None,
        n=min(arm.size for arm in arms),
        method="share of requests sent late",
        reason=reason,
        warnings=warnings,
        **UNTESTED,
    )
    return (with_runbook(signal, plan.policy),)


def lateness(response: Response) -> float:
    """Seconds from when it was due until it was sent; infinite where nothing shows it, or two clocks contradict."""
    if response.scheduled_at is None or response.started_at is None:
        return np.inf
    late = response.started_at - response.scheduled_at
    return late if late >= -LATE_S else np.inf


def _judge(shares: Iterable[float], told: str) -> tuple[Status, str, tuple[str, ...]]:
    """Status, reason and warnings."""
    worst = max(shares)
    if worst > MOST:
        rule = f"more than {MOST:.0%} of an arm's, so the load asked for was not offered"
        return Status.INCONCLUSIVE, f"{MISSING}: {told}; {rule}: {REMEDY}", ()
    milder = f"{told}: the load was milder than asked for; {REMEDY}"
    return Status.PASS, f"{told}: no more than {MOST:.0%} of an arm's", (milder,) if worst > TOLD else ()


def _told(arms: tuple[NDArray[np.float64], ...]) -> str:
    """`12 of 750 requests of the baseline and 9 of 750 of the candidate were sent more than 100 ms late, ...`."""
    baseline, candidate = (f"{int(np.sum(arm > LATE_S))} of {arm.size}" for arm in arms)
    every = np.concatenate(arms)
    known = every[np.isfinite(every)]
    most = f", at most {seconds(float(known.max()))}" if known.size and known.max() > LATE_S else ""
    unknown = f", {every.size - known.size} of them at a time that is not known" if known.size < every.size else ""
    sent = f"were sent more than {seconds(LATE_S)} late"
    return f"{baseline} requests of the baseline and {candidate} of the candidate {sent}{most}{unknown}"
