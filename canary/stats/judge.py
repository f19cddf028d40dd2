"""A judge that errs: whether it may decide, and what its numbers are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.cluster import Clustered, Fit, fit_mean, gather
from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Bools, Floats, Ints, as_floats, as_labels, as_pairs, require_alpha, require_margin

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LEAST_LABELLED = 30
"""Fewer labelled pairs correct nothing: the weight of the judge is estimated from them."""
CHOSEN = 0.001
"""P-value below which labelled pairs are no random sample."""

FIT_FROM = 0.2
"""Least lower bound of sensitivity + specificity - 1 of a judge that may decide."""


def kappa(first: ArrayLike, second: ArrayLike) -> float:
    """Cohen's kappa of two raters over the same items, labels of shape (n,).

    1 where both always give one and the same label, as they then agree.
    """
    one, two = np.asarray(first), np.asarray(second)
    if one.shape != two.shape or one.ndim != 1 or one.size == 0:
        raise ValueError("both raters must label the same items, shape (n,), n >= 1")
    labels, codes = np.unique(np.concatenate([one, two]), return_inverse=True)
    shares = [np.bincount(part, minlength=labels.size) / one.size for part in np.split(codes, 2)]
    chance = float(np.dot(*shares))
    return 1.0 if chance == 1 else (float(np.mean(one == two)) - chance) / (1 - chance)


def flip_rate(first_order: ArrayLike, second_order: ArrayLike) -> float:
    """Share of items whose winner changes with the order of presentation.

    Both arrays (n,) name the winning *answer*, not its position.
    """
    return float(np.mean(np.asarray(first_order) != np.asarray(second_order)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitness:
    """A judge against people on pass/fail labels."""

    sensitivity: Estimate
    """Share of what people pass that the judge passes."""
    specificity: Estimate
    """Share of what people fail that the judge fails."""
    informedness: Estimate
    """Sensitivity + specificity - 1 with its two-sided interval."""

    @property
    def is_fit(self) -> bool:
        """Whether its lower bound reaches 0.2, the least that may decide."""
        return self.informedness.low >= FIT_FROM

    def judge_margin(self, margin: float) -> float:
        """`margin` as the judge sees it: its errors shrink every difference.

        Under errors that are alike in both arms a difference shrinks by the
        informedness; the lower bound is the honest factor. Raises ValueError
        for an unfit judge.
        """
        if not self.is_fit:
            raise ValueError(f"the judge is unfit: informedness may be {self.informedness.low:.2f} < {FIT_FROM}")
        return self.informedness.low * margin

    def judge_floor(self, floor: float) -> float:
        """The judged rate from which on the true one is at least `floor`.

        Of all errors inside their intervals those that flatter most are taken:
        highest sensitivity, lowest specificity (Rogan & Gladen 1978, inverted).
        """
        most, least = min(self.sensitivity.high, 1.0), max(self.specificity.low, 0.0)
        return floor * most + (1 - floor) * (1 - least)


def measure_fitness(human: ArrayLike, judge: ArrayLike, *, alpha: float) -> Fitness:
    """Agreement of a judge with people, 0/1 labels of shape (n,).

    Wilson's intervals of the two rates; that of sensitivity + specificity - 1,
    a difference of two independent rates, is Newcombe's (1998, method 10); all
    at one-sided level `alpha`. Raises ValueError unless people used both
    labels.
    """
    truth, said = as_pairs(human, judge)
    require_alpha(alpha)
    positive, negative = truth == 1, truth == 0
    if not (positive.any() and negative.any()) or not np.all(positive | negative):
        raise ValueError("'human' must hold 0 and 1, and both of them")
    hit, rejected = _wilson(said[positive], alpha), _wilson(1 - said[negative], alpha)
    center = hit.center + rejected.center - 1
    return Fitness(
        sensitivity=hit,
        specificity=rejected,
        informedness=Estimate(
            center=center,
            low=center - float(np.hypot(hit.center - hit.low, rejected.center - rejected.low)),
            high=center + float(np.hypot(hit.high - hit.center, rejected.high - rejected.center)),
            confidence=1 - 2 * alpha,
            n=truth.size,
            method="Newcombe hybrid score interval",
        ),
    )


def _wilson(right: Floats, alpha: float) -> Estimate:
    """A rate with Wilson's score interval, one-sided level `alpha` at each end."""
    z, n, share = float(special.ndtri(1 - alpha)), right.size, float(right.mean())
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return Estimate(
        center=share,
        low=middle - half,
        high=middle + half,
        confidence=1 - 2 * alpha,
        n=n,
        method="Wilson score interval",
    )


def rogan_gladen(share: float, fitness: Fitness) -> float:
    """True rate behind a judged one, in [0, 1]: (q + Sp - 1)/(Se + Sp - 1).

    Rogan & Gladen 1978; for errors alike in both arms. Raises ValueError for
    an unfit judge: the division would amplify noise, or turn losses into
    gains.
    """
    if not fitness.is_fit:
        raise ValueError(f"the judge is unfit: informedness may be {fitness.informedness.low:.2f} < {FIT_FROM}")
    return float(np.clip((share + fitness.specificity.center - 1) / fitness.informedness.center, 0, 1))


def ppi_weight(human: ArrayLike, judged: ArrayLike, judged_only: ArrayLike) -> float:
    """How much of the judge goes into a prediction-powered mean, in [0, 1].

    `human, judged` (n,) are both verdicts on a random labelled sample,
    `judged_only` (N,) the judge's on the rest: cov/((1 + n/N) var), which
    makes the error least (PPI++: Angelopoulos, Duchi & Zrnic 2023,
    arXiv 2311.01453; as ppi_py has it, the covariance is over n and the
    variance that of all predictions). 0 where the judge tells nothing.
    """
    truth, said = as_pairs(human, judged)
    rest = np.asarray(judged_only, dtype=np.float64)
    spread = float(np.var(np.concatenate([said, rest]), ddof=1)) if rest.size else 0.0
    if spread <= 0:
        return 0.0
    joint = float(np.mean((truth - truth.mean()) * (said - said.mean())))
    return float(np.clip(joint / ((1 + truth.size / rest.size) * spread), 0, 1))


def compare_judged(
    human: ArrayLike,
    judged: ArrayLike,
    clusters: ArrayLike,
    strata: ArrayLike,
    weights: ArrayLike,
    *,
    margin: float,
    alpha: float,
) -> Finding:
    """Both tests of a paired difference that people confirmed on a sample.

    `human, judged` (n,) are *differences* (candidate minus baseline, in
    [-1, 1]) of this run's pairs: what people say of both arms, NaN where they
    were not asked, and what the judge says. Those they were asked about are a
    random sample. `clusters, strata, weights` as in `compare_pooled`.

    In each stratum theta = w mean(judged of the rest) + mean(human - w judged
    of the sample), with `ppi_weight`; differences absorb a judge that favours
    one arm, whatever its errors. The error is cluster-robust. A worst-case
    pair (people -1, judge 0) is added for the margin, a best-case pair for
    harm and the upper end. Raises ValueError where a stratum with weight has
    no labelled pair.
    """
    require_alpha(alpha)
    require_margin(margin, below=1)
    said = as_floats("judged", judged)
    truth = np.asarray(human, dtype=np.float64)
    data = _powered(truth, said, clusters, strata, weights)
    fit, worst, best = (fit_mean(part) for part in (data, data.with_extreme(-1.0), data.with_extreme(1.0)))
    n, how = int(np.isfinite(truth).sum()), "prediction-powered mean of paired differences"
    return Finding(
        estimate=Estimate(
            center=fit.mean,
            low=max(worst.bound(alpha), -1.0),
            high=min(best.bound(1 - alpha), 1.0),
            confidence=1 - 2 * alpha,
            n=said.size,
            method=how,
        ),
        harm=Test(p=best.lower_tail(0.0), n=n, method=how),
        noninferior=Test(p=worst.upper_tail(-margin), n=n, method=how),
        can_reject=bool(np.any(truth < 0) or np.any(said < 0)),
        baseline=0.0,
        candidate=fit.mean,
        margin=margin,
        method=f"{how}: people labelled {n} of {said.size} pairs",
    )


def chance_of_draw(asked: ArrayLike, marked: ArrayLike, strata: ArrayLike) -> float:
    """P-value of a random draw within strata holding so few or so many marked pairs.

    All arrays (n,): whether people were asked about a pair, whether something
    marks it (the judge saw a change, say), and its stratum. Two-sided
    hypergeometric per stratum, the smallest times their number (Bonferroni).
    """
    drawn, mark, groups = np.asarray(asked, dtype=bool), np.asarray(marked, dtype=bool), np.asarray(strata)
    parts = [(drawn[groups == group], mark[groups == group]) for group in np.unique(groups)]
    return min(1.0, len(parts) * min(_hypergeometric(*part) for part in parts))


def _hypergeometric(drawn: Bools, mark: Bools) -> float:
    n, size, marked, both = mark.size, int(drawn.sum()), int(mark.sum()), int((drawn & mark).sum())
    hits = np.arange(max(0, size + marked - n), min(size, marked) + 1)
    logs = _choose(marked, hits) + _choose(n - marked, size - hits) - _choose(n, np.array([size]))
    chances = np.exp(logs)
    return float(np.sum(chances[chances <= chances[both - hits[0]] * (1 + 1e-9)]))


def _choose(n: int, k: Ints) -> Floats:
    """The logarithm of n over k."""
    return np.asarray(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1))


def ppi_mean(human: ArrayLike, judged: ArrayLike, clusters: ArrayLike, strata: ArrayLike, weights: ArrayLike) -> Fit:
    """What people would say on average, with its error; see `compare_judged`.

    Here `human` and `judged` are what is said of one arm, or differences.
    """
    return fit_mean(
        _powered(np.asarray(human, dtype=np.float64), as_floats("judged", judged), clusters, strata, weights)
    )


def _powered(truth: Floats, said: Floats, clusters: ArrayLike, strata: ArrayLike, weights: ArrayLike) -> Clustered:
    """The estimate as a weighted mean: per stratum what the judge adds, and what people correct.

    Stratum k becomes 2k, the judge's share of the rest, and 2k + 1, people's
    word less the judge's share; both carry its weight. A stratum of which
    fewer than two pairs are unlabelled is people's alone.
    """
    shares, groups = as_floats("weights", weights), np.asarray(strata, dtype=np.int64)
    units, asked = as_labels("clusters", clusters, said.size), np.isfinite(truth)
    labelled, rest = (np.bincount(groups[part], minlength=shares.size) for part in (asked, ~asked))
    if np.any((labelled == 0) & (shares > 0)):
        raise ValueError("people labelled no pair of a stratum that counts")
    weight = np.where(rest > 1, ppi_weight(truth[asked], said[asked], said[~asked]), 0.0)
    share = weight[groups] * said
    kept = asked | (weight[groups] > 0)
    values = np.where(asked, np.where(asked, truth, 0.0) - share, share)
    parts, numbers = np.unique((2 * groups + asked)[kept], return_inverse=True)
    return gather(values[kept], units[kept], numbers, shares[parts // 2])
