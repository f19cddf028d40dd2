"""Two arms' latencies under the same draws of time, and both tests that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from canary.stats.blocks import MINIMUM, MOST
from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Floats, require_alpha


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicates:
    """A statistic of both arms, measured and resampled."""

    baseline: float
    candidate: float
    base: Floats
    cand: Floats
    blocks: int
    """Blocks before neighbours were merged."""
    units: int
    """Units with a value, in the arm that has fewer."""

    @property
    def df(self) -> int:
        """Degrees of freedom of an error taken over the blocks drawn."""
        return max(min(self.blocks, MOST) - 1, 1)


def minimum_n(q: float, confidence: float) -> int:
    """The fewest values whose maximum bounds the q-quantile from above.

    Smallest n with 1 - q^n >= confidence (Wilks 1941), both in (0, 1).
    """
    return int(np.ceil(np.log1p(-confidence) / np.log(q) - 1e-12))


def _require_limits(draws: Replicates, max_ratio: float, alpha: float) -> None:
    """Raise ValueError where the ratio or the margin is undefined."""
    require_alpha(alpha)
    if max_ratio <= 1:
        raise ValueError(f"'max_ratio' must be > 1 (got {max_ratio})")
    if draws.baseline <= 0:
        raise ValueError("the baseline's latency is 0: a ratio to it is undefined")


def _studentised(distance: float, error: float, df: int, unseen: float) -> float:
    """P-value for `distance < 0`; `unseen` where nothing varied."""
    if error > 1e-12 * abs(distance):
        return float(special.stdtr(df, distance / error))
    return unseen if distance < 0 else 1.0


def judge_trimmed(draws: Replicates, *, trim: float, max_ratio: float, floor: float, alpha: float) -> Finding:
    """Both tests of a trimmed mean from its replicates."""
    _require_limits(draws, max_ratio, alpha)
    limit = max(max_ratio * draws.baseline, draws.baseline + floor)
    limits = np.maximum(max_ratio * draws.base, draws.base + floor)
    error = float(np.std(draws.cand - limits, ddof=1))
    change = float(np.std(draws.cand - draws.base, ddof=1))
    inside = _studentised(draws.candidate - limit, error, draws.df, (1 - trim) ** draws.blocks)
    harm = _studentised(draws.baseline - draws.candidate, change, draws.df, 0.5**draws.blocks)
    reach = float(special.stdtrit(draws.df, 1 - alpha)) * error
    return _finding(
        draws,
        margin=limit / draws.baseline,
        alpha=alpha,
        low=(draws.candidate - reach) / draws.baseline,
        high=(draws.candidate + reach) / draws.baseline,
        p=(harm, inside),
        method=f"TM{100 * (1 - trim):g} ratio, time-block bootstrap, studentised",
        lack=_lacking(draws, 0, ""),
    )


def judge_quantile(draws: Replicates, *, q: float, max_ratio: float, alpha: float) -> Finding:
    """Both tests of a quantile ratio from its replicates."""
    _require_limits(draws, max_ratio, alpha)
    if draws.candidate <= 0 or min(draws.base.min(), draws.cand.min()) <= 0:
        raise ValueError("a latency quantile is 0: its log ratio is undefined")
    log_ratio = float(np.log(draws.candidate / draws.baseline))
    error = float(np.std(np.log(draws.cand / draws.base), ddof=1))
    reach = float(special.stdtrit(draws.df, 1 - alpha)) * error
    return _finding(
        draws,
        margin=max_ratio,
        alpha=alpha,
        low=float(np.exp(log_ratio - reach)),
        high=float(np.exp(log_ratio + reach)),
        p=(
            _studentised(-log_ratio, error, draws.df, 0.5**draws.blocks),
            _studentised(log_ratio - np.log(max_ratio), error, draws.df, q**draws.blocks),
        ),
        method=f"p{100 * q:g} ratio, time-block bootstrap of the logarithm, studentised",
        lack=_lacking(draws, minimum_n(q, 1 - alpha), f"p{100 * q:g}"),
    )


def _lacking(draws: Replicates, units: int, name: str) -> str:
    """What is missing for any conclusion, in words; empty if nothing is."""
    if draws.blocks < MINIMUM:
        return f"need >= {MINIMUM} time blocks, have {draws.blocks}"
    if draws.units < units:
        return f"{name} needs >= {units} requests an arm, have {draws.units}"
    return ""


def _finding(
    draws: Replicates,
    *,
    margin: float,
    alpha: float,
    low: float,
    high: float,
    p: tuple[float, float],
    method: str,
    lack: str,
) -> Finding:
    """The finding on the ratio scale; an inconclusive one where `lack` says so."""
    harm, inside = (1.0, 1.0) if lack else p
    if not lack and inside >= alpha > 0 and high < margin:  # nothing varied: the bound is not the estimate
        high = np.inf
    n, notes = draws.units, (lack,) if lack else ()
    return Finding(
        estimate=Estimate(
            center=draws.candidate / draws.baseline,
            low=0.0 if lack else max(low, 0.0),
            high=np.inf if lack else high,
            confidence=1 - 2 * alpha,
            n=n,
            method=method,
        ),
        harm=Test(p=harm, n=n, method=method),
        noninferior=Test(p=inside, n=n, method=method),
        can_reject=not lack,
        baseline=draws.baseline,
        candidate=draws.candidate,
        margin=margin,
        method=f"{method}, {draws.blocks} blocks (harm and margin)",
        warnings=notes,
    )
