"""Evidence that may be looked at after every request.

An e-process starts at 1 and, while the candidate is no worse, exceeds 1/alpha
at any moment with probability at most alpha (Ville's inequality), so looking
costs nothing. Its state is a value: stored, restarted and advanced, never
reset inside a window; a new candidate starts a new one.

What a controller does with it, at any moment and as often as it likes:

1. `split_alpha` once: the looks get the first level, the one final fixed-n
   test at the window's end the second.
2. A process per signal: `OddsProcess` for bad events (errors, slow requests,
   failed checks; `first_events` keeps one a routing key), `BettingProcess` for
   paired differences (pooled: of `stratum_blocks`). Harm and safety are two
   processes, `of_harm` and `of_safety`, `harm_bets` and `safety_bets`.
3. After each batch `advance`; the value returned is all there is to store
   (`dataclasses.asdict` gives its fields, the class takes them back).
4. Roll back when `e_bonferroni` of the harm processes' `peak`s, or `e_holm` of
   their `log_e` *now*, reaches log(1/alpha): means of peaks would be no
   e-value. Promote early only when every safety
   process has reached log(1/level) at the looks' share of the promote level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import special

from canary.stats.vector import Bools, Floats, Ints, as_floats, require_alpha, require_margin

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_ALTERNATIVES = 64
_CHUNK = 20_000
_LOOKS, _FINAL = 0.2, 0.8


def split_alpha(alpha: float) -> tuple[float, float]:
    """Levels for the looks and for the one final fixed-n test: 0.2 and 0.8.

    Stopping early on an e-value and testing the rest once more at the full
    level spends it twice (measured 0.064 at 0.05).
    """
    require_alpha(alpha)
    return _LOOKS * alpha, _FINAL * alpha


def first_events(keys: ArrayLike) -> Bools:
    """Marks the first event of every routing key, shape (n,), in order.

    Requests of one session fail together; counted each, 20-request sessions
    give a 46 % false alarm at 5 %.
    """
    labels = np.asarray(keys)
    marks = np.zeros(labels.shape, dtype=np.bool_)
    marks[np.unique(labels, return_index=True)[1]] = True
    return marks


@dataclass(frozen=True, slots=True, kw_only=True)
class OddsProcess:
    """E-process of a stream of bad events, each labelled with its arm.

    With the candidate's assigned share s_t at the moment of an event, a bad
    event is the candidate's with probability s_t r/(s_t r + 1 - s_t) if its
    odds of going wrong are r times the baseline's. Conditioning on the event
    makes drifting base rates harmless, and the odds ratio stays one null
    while the share ramps (Lindon & Malek 2022, arXiv 2011.03567). Mixes 64
    alternatives spread evenly over r/(1 + r) beyond the null.
    """

    null_ratio: float
    """Odds ratio at the edge of the null."""
    alternatives: tuple[float, ...]
    """Odds ratios mixed over, all above the null (harm) or below (safe)."""
    log_likelihoods: tuple[float, ...]
    """Log likelihood ratio of each alternative to the null, so far."""
    peak: float = 0.0
    """Largest log e-value so far; what an alarm is judged by."""
    baseline_events: int = 0
    candidate_events: int = 0

    @classmethod
    def of_harm(cls, *, null_ratio: float = 1.0) -> Self:
        """Null: the candidate's odds are at most `null_ratio` times as high."""
        edge = null_ratio / (1 + null_ratio)
        return cls._over(null_ratio, edge + (1 - edge) * _midpoints())

    @classmethod
    def of_safety(cls, *, max_ratio: float) -> Self:
        """Null: the candidate's odds are at least `max_ratio` times as high."""
        return cls._over(max_ratio, max_ratio / (1 + max_ratio) * _midpoints())

    @classmethod
    def _over(cls, null_ratio: float, shares: Floats) -> Self:
        require_margin(null_ratio)
        ratios = tuple((shares / (1 - shares)).tolist())
        return cls(null_ratio=null_ratio, alternatives=ratios, log_likelihoods=(0.0,) * len(ratios))

    @property
    def log_e(self) -> float:
        """Logarithm of the e-value now."""
        return float(special.logsumexp(self.log_likelihoods) - np.log(len(self.log_likelihoods)))

    def advance(self, is_candidate: ArrayLike, shares: ArrayLike) -> Self:
        """The process after more bad events, in order of time.

        `is_candidate` and `shares` (assigned to the candidate when the event's
        request was routed, in [0, 1]) have shape (k,), one entry for each
        routing key's first bad event.
        """
        return self._advanced(is_candidate, shares)[0]

    def trace(self, is_candidate: ArrayLike, shares: ArrayLike) -> Floats:
        """Log e-value after each of the events that `advance` would take, (k,)."""
        return self._advanced(is_candidate, shares)[1]

    def _advanced(self, is_candidate: ArrayLike, shares: ArrayLike) -> tuple[Self, Floats]:
        marks = np.asarray(is_candidate, dtype=np.bool_)
        weights = np.broadcast_to(np.asarray(shares, dtype=np.float64), marks.shape)
        if weights.size and (np.min(weights) < 0 or np.max(weights) > 1):
            raise ValueError("'shares' must lie in [0, 1]")
        start, pieces = np.array(self.log_likelihoods), [np.zeros(0)]
        for at in range(0, marks.size, _CHUNK):  # chunks bound the memory
            gains = self._gains(marks[at : at + _CHUNK], weights[at : at + _CHUNK])
            path = start + np.cumsum(gains, axis=0)
            pieces.append(special.logsumexp(path, axis=1) - np.log(start.size))
            start = path[-1]
        trace, events = np.concatenate(pieces), int(marks.sum())
        moved = replace(
            self,
            log_likelihoods=tuple(start.tolist()),
            peak=max(self.peak, float(np.max(trace, initial=-np.inf))),
            baseline_events=self.baseline_events + marks.size - events,
            candidate_events=self.candidate_events + events,
        )
        return moved, trace

    def _gains(self, marks: Bools, shares: Floats) -> Floats:
        """Log likelihood ratio of every event and alternative, (k, 64)."""
        ratios, null, s = np.array(self.alternatives), self.null_ratio, shares[:, None]
        spread = np.log1p(s * (null - 1)) - np.log1p(s * (ratios - 1))
        return np.asarray(spread + np.where(marks[:, None], np.log(ratios / null), 0.0))


def _midpoints() -> Floats:
    """Centres of 64 equal parts of (0, 1)."""
    return (np.arange(_ALTERNATIVES) + 0.5) / _ALTERNATIVES


@dataclass(frozen=True, slots=True, kw_only=True)
class BettingProcess:
    """E-process of a stream of values in [0, 1]. Null: their mean is at most `null_mean`.

    Capital is the product of 1 + lambda_i (x_i - null_mean) with the
    predictable plug-in bet lambda_i = min(sqrt(2 ln(1/alpha) / (v_{i-1} i
    ln(1 + i))), 1/(2 null_mean)), v the running variance with one prior
    observation of mean 1/2 and variance 1/4 (Waudby-Smith & Ramdas 2024,
    JRSS-B 86:1).
    """

    null_mean: float
    alpha: float
    """Level the bets aim at; any level may be read off."""
    n: int = 0
    total: float = 0.5
    """Sum of the values and of the prior observation."""
    squares: float = 0.25
    """Sum of squared residuals, the prior one included."""
    log_e: float = 0.0
    peak: float = 0.0
    """Largest log e-value so far; what an alarm is judged by."""

    def advance(self, values: ArrayLike) -> Self:
        """The process after more values (k,), in order; ValueError outside [0, 1]."""
        return self._advanced(values)[0]

    def trace(self, values: ArrayLike) -> Floats:
        """Log e-value after each of the values that `advance` would take, (k,)."""
        return self._advanced(values)[1]

    def _advanced(self, values: ArrayLike) -> tuple[Self, Floats]:
        x = np.asarray(values, dtype=np.float64)
        if x.size == 0:
            return self, np.zeros(0)
        if not 0 <= np.min(x) <= np.max(x) <= 1:
            raise ValueError("'values' must lie in [0, 1]")
        step = self.n + np.arange(1, x.size + 1)
        totals = self.total + np.cumsum(x)
        squares = self.squares + np.cumsum((x - totals / (step + 1)) ** 2)
        variance = np.append(self.squares, squares[:-1]) / step
        bets = np.sqrt(2 * np.log(1 / self.alpha) / (variance * step * np.log1p(step)))
        bets = np.minimum(bets, 0.5 / self.null_mean)
        path = self.log_e + np.cumsum(np.log1p(bets * (x - self.null_mean)))
        moved = replace(
            self,
            n=int(step[-1]),
            total=float(totals[-1]),
            squares=float(squares[-1]),
            log_e=float(path[-1]),
            peak=max(self.peak, float(path.max())),
        )
        return moved, path


def harm_bets(alpha: float) -> BettingProcess:
    """The process against "no worse"; feed it `harm_values`."""
    require_alpha(alpha)
    return BettingProcess(null_mean=0.5, alpha=alpha)


def safety_bets(margin: float, alpha: float) -> BettingProcess:
    """The process against "worse by `margin` or more"; feed it `safety_values`."""
    require_alpha(alpha)
    require_margin(margin, below=1)
    return BettingProcess(null_mean=(1 - margin) / 2, alpha=alpha)


def harm_values(differences: ArrayLike) -> Floats:
    """Differences (candidate minus baseline, in [-1, 1]) as losses in [0, 1]."""
    return (1 - np.asarray(differences, dtype=np.float64)) / 2


def safety_values(differences: ArrayLike) -> Floats:
    """Differences (candidate minus baseline, in [-1, 1]) as gains in [0, 1]."""
    return (1 + np.asarray(differences, dtype=np.float64)) / 2


def stratum_blocks(differences: ArrayLike, strata: ArrayLike, weights: ArrayLike) -> Floats:
    """One pooled difference per complete block of strata, in order of time.

    Block j holds the j-th pair of every stratum, weighed by `weights` (K,),
    the manifest's; `strata` (n,) are whole numbers 0..K-1. Betting once per
    block makes the null the weighted mean, whatever order pairs arrive in.
    """
    values, shares = np.asarray(differences, dtype=np.float64), as_floats("weights", weights)
    numbers: Ints = np.asarray(strata, dtype=np.int64)
    used = np.flatnonzero(shares > 0)
    counts = np.bincount(numbers, minlength=shares.size)
    order = np.argsort(numbers, kind="stable")
    place = np.empty(values.size, dtype=np.int64)
    place[order] = np.arange(values.size) - np.repeat(np.cumsum(counts) - counts, counts)
    complete = int(counts[used].min()) if used.size else 0
    inside = (place < complete) & np.isin(numbers, used)
    blocks = np.bincount(place[inside], weights=(shares[numbers] * values)[inside], minlength=complete)
    return np.asarray(blocks, dtype=np.float64)


def e_bonferroni(log_e: ArrayLike) -> Floats:
    """Log e-values of m processes, adjusted: each divided by m.

    Reject at log(1/alpha): the chance of any false alarm at any moment is at
    most alpha.
    """
    values = np.asarray(log_e, dtype=np.float64)
    return np.asarray(values - np.log(max(values.size, 1)))


def e_holm(log_e: ArrayLike) -> Floats:
    """Log e-values adjusted by closed testing with averages, shape (m,).

    For each, the smallest mean of it and any number of the smaller ones
    (Vovk & Wang 2021, Ann Stat 49:1736, algorithm 1): valid under every
    dependence, never below `e_bonferroni`. Names the culprits.
    """
    values = np.asarray(log_e, dtype=np.float64)
    if values.size == 0:
        return values
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    below = np.append(-np.inf, np.logaddexp.accumulate(ranked))[:-1]  # log of the sum of the i smallest
    means = np.logaddexp(ranked[:, None], below[None, :]) - np.log1p(np.arange(values.size))
    means[np.triu_indices(values.size, 1)] = np.inf  # only smaller ones join
    adjusted = np.empty(values.size)
    adjusted[order] = means.min(axis=1)
    return adjusted
