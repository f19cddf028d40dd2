"""What a planned comparison can show: exact for pairs, close for the rest.

`psi` is the discordance, the share of pairs whose result differs between the
arms; where the difference exceeds it, it is the difference.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.operating import OperatingCharacteristics, joint_promote_probability
from canary.stats.paired import midp, tango_statistic
from canary.stats.rates import conditional_p, score_statistic

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary.stats.vector import Floats

__all__ = [
    "POWER",
    "OperatingCharacteristics",
    "continuous_pairs_needed",
    "continuous_power",
    "event_harm_power",
    "event_power",
    "joint_promote_probability",
    "mcnemar_power",
    "more_events",
    "more_pairs_binary",
    "more_pairs_continuous",
    "more_units",
    "pairs_needed",
    "smallest_detectable_drop",
    "smallest_passing_n",
    "smallest_reaching_n",
    "tango_power",
    "tokens_in_flight",
]

POWER = 0.8
"""With which "need" promises an answer."""
_LARGEST = 10_000_000
_ENUMERATED = 100_000
"""More pairs are not enumerated for a plan."""
_EXACT = 1_000
"""More pairs are not enumerated for a "need"."""


@lru_cache(maxsize=4096)
def tango_power(n: int, psi: float, delta: float, margin: float, alpha: float) -> float:
    """Chance that Tango's test shows non-inferiority; exact to 1e-12.

    n pairs, discordance psi, true difference `delta` (negative is a loss).
    """
    lost, won, weight = _discordant(n, psi, delta)
    passes = special.ndtr(-tango_statistic(lost, won, n, -margin)) < alpha
    return float(np.sum(weight * passes))


@lru_cache(maxsize=4096)
def mcnemar_power(n: int, psi: float, delta: float, alpha: float) -> float:
    """Chance that the mid-p McNemar test rejects "no worse"; exact to 1e-12."""
    lost, won, weight = _discordant(n, psi, delta)
    return float(np.sum(weight * (midp(lost, won) <= alpha)))


def _discordant(n: int, psi: float, delta: float) -> tuple[Floats, Floats, Floats]:
    """All likely (lost, won) counts and their trinomial probability.

    Nine standard errors each way leave out less than 1e-12.
    """
    if n < 1 or not -1 <= delta <= 1 or not 0 <= psi <= 1:
        raise ValueError(f"need n >= 1, psi in [0, 1], delta in [-1, 1] (got {n}, {psi}, {delta})")
    psi = max(psi, abs(delta))
    p_lost, p_won = (psi - delta) / 2, (psi + delta) / 2
    lost, won = np.meshgrid(_window(n, p_lost), _window(n, p_won), indexing="ij")
    rest = n - lost - won
    log = special.gammaln(n + 1) - special.gammaln(lost + 1) - special.gammaln(won + 1)
    log = log - special.gammaln(np.maximum(rest, 0) + 1) + special.xlogy(lost, p_lost) + special.xlogy(won, p_won)
    log = log + special.xlogy(np.maximum(rest, 0), 1 - psi)
    return lost, won, np.where(rest >= 0, np.exp(log), 0.0)


def _window(n: int, p: float) -> Floats:
    """The counts a Bin(n, p) takes with probability above 1 - 1e-12."""
    reach = 9 * np.sqrt(n * p * (1 - p)) + 12 * (0 < p < 1)
    return np.arange(max(0, np.floor(n * p - reach)), min(n, np.ceil(n * p + reach)) + 1)


def pairs_needed(psi: float, margin: float, alpha: float, power: float, delta: float = 0.0) -> int:
    """Pairs for Tango's test to pass with probability `power`, exactly.

    By enumeration: the closed form (z_alpha + z_power)^2 (psi - delta^2) /
    (margin + delta)^2 falls short (psi 0.1, power 0.8: 248 for 269 at 5 pp, 62
    for 77 at 10 pp). Raises ValueError where no n suffices, delta <= -margin,
    and where more than a hundred thousand would, which would take long to find.
    """
    if delta <= -margin:
        raise ValueError(f"a true difference of {delta} is outside the margin {margin}: no n passes it")
    start = smallest_passing_n(margin, alpha)
    short = (special.ndtri(1 - alpha) + special.ndtri(power)) ** 2 * (psi - delta**2) / (margin + delta) ** 2
    if max(start, short) > _ENUMERATED:
        raise ValueError(f"more than {_ENUMERATED} would be needed")
    return _first(lambda n: tango_power(n, psi, delta, margin, alpha) >= power, start)


def _first(reached: Callable[[int], bool], start: int) -> int:
    """The smallest n >= start from which `reached`, by doubling and halving."""
    high = max(start, 1)
    while not reached(high):
        high *= 2
        if high > _LARGEST:
            raise ValueError(f"more than {_LARGEST} would be needed")
    low = max(high // 2, start - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


@lru_cache(maxsize=1024)
def smallest_detectable_drop(n: int, psi: float, alpha: float, power: float) -> float:
    """The smallest true loss that McNemar's mid-p test finds with `power`.

    A positive share to four digits; infinite where even losing every pair
    would not be found (n < 4 at alpha 0.05).
    """
    if mcnemar_power(n, psi, -1.0, alpha) < power:
        return np.inf
    low, high = 0.0, 1.0
    while high - low > 5e-5:
        middle = (low + high) / 2
        found = mcnemar_power(n, psi, -middle, alpha) >= power
        low, high = (low, middle) if found else (middle, high)
    return high


def smallest_passing_n(margin: float, alpha: float) -> int:
    """Pairs from which Tango's test can pass at all: no pair discordant.

    There T = sqrt(n margin/(1 - margin)).
    """
    z = float(special.ndtri(1 - alpha))
    return int(np.floor(z**2 * (1 - margin) / margin)) + 1


def smallest_reaching_n(floor: float, alpha: float) -> int | None:
    """Answers from which the exact binomial test can show a pass rate of at least `floor`: all of them pass.

    There p = floor^n. None where no number will do: nothing shows that all answers ever pass.
    """
    if floor == 1:
        return None
    return int(np.floor(np.log(alpha) / np.log(floor))) + 1 if floor > 0 else 1


def continuous_power(n: int, sd: float, delta: float, margin: float, alpha: float, *, reach: float = 0.0) -> float:
    """Chance that the paired t test shows non-inferiority (noncentral t).

    `sd` of the paired differences; `reach` is 1 where a worst-case pair is
    added (bounded scores), which shifts the mean and widens the error. With
    sd 0 and no reach the chance is 0 or 1.
    """
    if n < 2:
        return 0.0
    shift = reach / (n + 1)
    error = float(np.hypot(sd / np.sqrt(n), shift))
    df = n - 1 + (reach > 0)
    distance = delta + margin - shift
    if error == 0:
        return float(distance > 0)
    power = 1 - special.nctdtr(df, distance / error, special.stdtrit(df, 1 - alpha))
    return float(np.clip(power, 0, 1))


def continuous_pairs_needed(
    sd: float, margin: float, alpha: float, power: float, *, delta: float = 0.0, reach: float = 0.0
) -> int:
    """Pairs for the paired t test to pass with `power`; see `continuous_power`."""
    if delta <= -margin:
        raise ValueError(f"a true difference of {delta} is outside the margin {margin}: no n passes it")
    return _first(lambda n: continuous_power(n, sd, delta, margin, alpha, reach=reach) >= power, 2)


@lru_cache(maxsize=1024)
def event_power(n_base: int, n_cand: int, p_base: float, p_cand: float, margin: float, alpha: float) -> float:
    """Chance that the Miettinen-Nurminen test shows non-inferiority; exact."""
    base, cand, weight = _events(n_base, n_cand, p_base, p_cand)
    passes = special.ndtr(score_statistic(base, n_base, cand, n_cand, margin)) < alpha
    return float(np.sum(weight * passes))


@lru_cache(maxsize=1024)
def event_harm_power(n_base: int, n_cand: int, p_base: float, p_cand: float, alpha: float) -> float:
    """Chance that the conditional test finds more events; exact."""
    base, cand, weight = _events(n_base, n_cand, p_base, p_cand)
    return float(np.sum(weight * (conditional_p(base, n_base, cand, n_cand) <= alpha)))


def _events(n_base: int, n_cand: int, p_base: float, p_cand: float) -> tuple[Floats, Floats, Floats]:
    """All likely event counts of two independent arms and their probability."""
    counts, shares = [], []
    for n, p in ((n_base, p_base), (n_cand, p_cand)):
        x = _window(n, p)
        log = special.gammaln(n + 1) - special.gammaln(x + 1) - special.gammaln(n - x + 1)
        counts.append(x)
        shares.append(np.exp(log + special.xlogy(x, p) + special.xlog1py(n - x, -p)))
    base, cand = np.meshgrid(*counts, indexing="ij")
    return base, cand, np.outer(shares[0], shares[1])


def more_pairs_binary(psi: float, delta: float, n: int, margin: float, levels: tuple[float, float]) -> int | None:
    """Pairs still lacking for either answer, if the rest goes as the first n did.

    For discordance `psi` and difference `delta` seen: the fewest pairs with
    which Tango's test passes (level `levels[0]`) or McNemar's finds harm
    (level `levels[1]`), each with 80 % power. Exact up to 1,000 pairs, the
    closed forms beyond. None where neither happens within ten million.
    """
    totals = []
    if delta > -margin:
        wanted = (_z_sum(levels[0]) / (margin + delta)) ** 2 * max(psi - delta**2, 0)
        start = max(wanted, smallest_passing_n(margin, levels[0]))
        totals.append(_settled(lambda total: tango_power(total, psi, delta, margin, levels[0]), start))
    if delta < 0:
        wanted = (_z_sum(levels[1]) / delta) ** 2 * max(psi, -delta)
        totals.append(_settled(lambda total: mcnemar_power(total, psi, delta, levels[1]), 0.75 * wanted))
    return _least(totals, n)


def more_pairs_continuous(
    spread: float, delta: float, n: int, margin: float, levels: tuple[float, float], *, reach: float
) -> int | None:
    """The same for a mean difference with standard deviation `spread`.

    `reach` as in `continuous_power`; harm by the normal approximation.
    """
    totals: list[float] = []
    if delta > -margin and (spread + reach) * _z_sum(levels[0]) / (margin + delta) < _LARGEST**0.5:
        totals.append(continuous_pairs_needed(spread, margin, levels[0], POWER, delta=delta, reach=reach))
    if delta < 0:
        totals.append((_z_sum(levels[1]) * spread / delta) ** 2)
    return _least(totals, n)


def more_events(
    rates: tuple[float, float], units: tuple[int, int], margin: float, levels: tuple[float, float]
) -> int | None:
    """The same for bad events of two streams, in units of the smaller arm; both keep their proportion.

    `rates` of bad events, baseline first, among `units`. Exact up to 1,000
    (the smaller arm's), the closed forms beyond.
    """
    n = min(units)
    times = units[0] / n, units[1] / n
    delta = rates[1] - rates[0]
    variance = sum(rate * (1 - rate) / per for rate, per in zip(rates, times, strict=True))
    totals = []
    if delta < margin:
        start = max((_z_sum(levels[0]) / (margin - delta)) ** 2 * variance, smallest_passing_n(margin, levels[0]))
        totals.append(_settled(lambda k: event_power(*_sizes(k, times), *rates, margin, levels[0]), start))
    if delta > 0:
        start = 0.75 * (_z_sum(levels[1]) / delta) ** 2 * variance
        totals.append(_settled(lambda k: event_harm_power(*_sizes(k, times), *rates, levels[1]), start))
    return _least(totals, n)


def _sizes(n: int, times: tuple[float, float]) -> tuple[int, int]:
    """Units of both arms where the smaller has n."""
    return round(n * times[0]), round(n * times[1])


def more_units(half: float, distances: tuple[float, ...], n: int, alpha: float) -> int | None:
    """The same for any interval: n (half (z_alpha + z_power)/z_alpha/distance)^2.

    `half` is the half-width towards harm, which shrinks with the root of n;
    `distances` are from the estimate to what it must be told from.
    """
    reach = half * _z_sum(alpha) / float(special.ndtri(1 - alpha))
    return _least([n * (reach / distance) ** 2 for distance in distances if distance > 1e-9], n)


def _z_sum(alpha: float) -> float:
    return float(special.ndtri(1 - alpha) + special.ndtri(POWER))


def _settled(power: Callable[[int], float], start: float) -> float:
    """About the smallest n from `start` with that power: exact to 1 % where n is small."""
    low, high = start, start
    while high <= _EXACT and power(int(np.ceil(high))) < POWER:
        low, high = high, high * 1.25 + 1
    while high <= _EXACT and high - low > max(1, high / 100):
        middle = (low + high) / 2
        low, high = (low, middle) if power(int(np.ceil(middle))) >= POWER else (middle, high)
    return high


def _least(totals: list[float], n: int) -> int | None:
    """What is lacking for the nearest answer, at least one; None where none is near."""
    within = [total for total in totals if total <= _LARGEST]
    return max(int(np.ceil(min(within))) - n, 1) if within else None


def tokens_in_flight(requests_per_s: float, seconds: float, input_tokens: float, output_tokens: float) -> float:
    """Tokens a KV cache must hold on average at a steady arrival rate.

    Little's law, L = rate times time in the system; each request in flight
    holds its input and, on average over its life, half its output.
    """
    return requests_per_s * seconds * (input_tokens + output_tokens / 2)
