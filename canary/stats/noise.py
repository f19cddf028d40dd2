"""What the baseline does to itself: the floor under every margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.blocks import choose_blocks
from canary.stats.rates import conditional_p
from canary.stats.vector import Floats, as_floats, as_labels, as_pairs, tally

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True, kw_only=True)
class Variance:
    """How the variance of a score splits; both parts on its squared scale."""

    between: float
    """Of a prompt's true mean, over prompts."""
    within: float
    """Of one answer, about its prompt's mean."""
    prompts: int

    def error(self, repeats: int) -> float:
        """Standard error of a mean over the prompts, `repeats` answers each.

        sqrt((between + within/K)/n) (Miller 2024, arXiv 2411.00640).
        """
        return float(np.sqrt((self.between + self.within / repeats) / self.prompts))


def discordance(first: ArrayLike, second: ArrayLike, strata: ArrayLike) -> Floats:
    """Share of prompts whose pass/fail differs between two runs, per stratum.

    0/1 arrays and whole stratum numbers 0..K-1 of shape (n,); (K,), 0 where a
    stratum is empty.
    """
    one, two = as_pairs(first, second)
    numbers = np.asarray(strata, dtype=np.int64)
    counts = tally(numbers, np.ones(one.size))
    return tally(numbers, (one != two).astype(np.float64)) / np.maximum(counts, 1)


def split_variance(values: ArrayLike, prompts: ArrayLike) -> Variance:
    """Variance components of repeated scores, flat arrays of shape (m,).

    One-way analysis of variance with unequal group sizes (Searle 1971): the
    between part is never below 0, and `within` is 0 without repeats, which
    then leaves it inside `between`.
    """
    scores = as_floats("values", values)
    labels = as_labels("prompts", prompts, scores.size)
    sizes = tally(labels, np.ones(scores.size))
    means = tally(labels, scores) / sizes
    groups, total = sizes.size, scores.size
    spare = total - groups
    within = float(np.sum((scores - means[labels]) ** 2)) / spare if spare else 0.0
    if groups == 1:
        return Variance(between=0.0, within=within, prompts=1)
    typical = (total - float(np.sum(sizes**2)) / total) / (groups - 1)
    mean_square = float(np.sum(sizes * (means - scores.mean()) ** 2)) / (groups - 1)
    return Variance(between=max(0.0, (mean_square - within) / typical), within=within, prompts=groups)


def autocorrelation(series: ArrayLike, lags: int) -> Floats:
    """Autocorrelation of a series in time order at lags 1..`lags`.

    0 where the series does not vary; `lags` must be below its length.
    """
    values = as_floats("series", series)
    if not 1 <= lags < values.size:
        raise ValueError(f"'lags' must be in 1..{values.size - 1} (got {lags})")
    centred = values - values.mean()
    power = np.abs(np.fft.rfft(centred, 2 * values.size)) ** 2
    covariance = np.fft.irfft(power)[: lags + 1]
    if covariance[0] <= 0:
        return np.zeros(lags)
    return np.asarray(covariance[1:] / covariance[0])


def block_length(series: ArrayLike) -> int:
    """Requests per time block that the measured autocorrelation calls for."""
    return int(np.bincount(choose_blocks(series))[0])


def lag_one(series: ArrayLike) -> float:
    """Autocorrelation at lag one; 0 where fewer than three values tell nothing."""
    return float(np.clip(autocorrelation(series, 1)[0], -1, 1)) if np.size(series) > 2 else 0.0


def too_quiet(discordant: int, n: int, measured: int, measured_n: int) -> float:
    """P-value of so few discordant pairs, were the arms as noisy as the baseline alone.

    Conditional test of the two counts (`stats.rates`): small means that the
    baseline disagrees with itself more often than with the candidate.
    """
    return float(conditional_p(discordant, n, measured, measured_n))


def noise_margin(psi: float, n: int, alpha: float, power: float = 0.5) -> float:
    """The margin an unchanged candidate passes with chance `power`.

    (z_alpha + z_power) sqrt(psi/n) for discordance psi over n pairs: a margin
    below it asks for more than the noise allows.
    """
    z = float(special.ndtri(1 - alpha)) + float(special.ndtri(power))
    return z * float(np.sqrt(psi / n))
