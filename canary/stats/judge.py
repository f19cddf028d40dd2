"""A judge that errs: whether it may decide, and what its numbers are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from canary.stats.cluster import Fit
from canary.stats.results import Estimate, Finding, Test
from canary.stats.vector import Floats, as_floats, as_pairs, require_alpha, require_margin

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

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


def settle_flips(first_order: ArrayLike, second_order: ArrayLike) -> Floats:
    """Preferences (-1, 0, 1) under both orders as one; a flip is a tie."""
    one, two = as_pairs(first_order, second_order)
    return np.where(one == two, one, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitness:
    """A judge against people on pass/fail labels."""

    sensitivity: float
    specificity: float
    informedness: Estimate
    """Sensitivity + specificity - 1 with its two-sided interval."""
    kappa: float

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


def measure_fitness(human: ArrayLike, judge: ArrayLike, *, alpha: float) -> Fitness:
    """Agreement of a judge with people, 0/1 labels of shape (n,).

    The interval of sensitivity + specificity - 1, a difference of two
    independent rates, is Newcombe's (1998, method 10), one-sided level
    `alpha`. Raises ValueError unless people used both labels.
    """
    truth, said = as_pairs(human, judge)
    require_alpha(alpha)
    positive, negative = truth == 1, truth == 0
    if not (positive.any() and negative.any()) or not np.all(positive | negative):
        raise ValueError("'human' must hold 0 and 1, and both of them")
    sensitivity, specificity = float(said[positive].mean()), 1 - float(said[negative].mean())
    center = sensitivity + specificity - 1
    low_hit, high_hit = _wilson(sensitivity, int(positive.sum()), alpha)
    low_false, high_false = _wilson(1 - specificity, int(negative.sum()), alpha)
    return Fitness(
        sensitivity=sensitivity,
        specificity=specificity,
        informedness=Estimate(
            center=center,
            low=center - float(np.hypot(sensitivity - low_hit, high_false - (1 - specificity))),
            high=center + float(np.hypot(high_hit - sensitivity, (1 - specificity) - low_false)),
            confidence=1 - 2 * alpha,
            n=truth.size,
            method="Newcombe hybrid score interval",
        ),
        kappa=kappa(truth, said),
    )


def _wilson(share: float, n: int, alpha: float) -> tuple[float, float]:
    """Wilson's score interval of a rate, one-sided level `alpha` at each end."""
    z = float(special.ndtri(1 - alpha))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return middle - half, middle + half


def rogan_gladen(share: float, sensitivity: float, specificity: float) -> float:
    """True rate behind a judged one, in [0, 1]: (q + Sp - 1)/(Se + Sp - 1).

    Rogan & Gladen 1978; for errors alike in both arms. Raises ValueError
    where sensitivity + specificity - 1 is below 0.2: the division would
    amplify noise, or turn losses into gains.
    """
    informedness = sensitivity + specificity - 1
    if informedness < FIT_FROM:
        raise ValueError(f"the judge is unfit: informedness {informedness:.2f} < {FIT_FROM}")
    return float(np.clip((share + specificity - 1) / informedness, 0, 1))


def ppi_mean(human: ArrayLike, judged: ArrayLike, judged_only: ArrayLike, *, weight: float | None = None) -> Fit:
    """Prediction-powered mean of what people would say, with its error.

    `human, judged` (n,) are both verdicts on a random labelled sample,
    `judged_only` (N,) the judge's on the rest. theta = w mean(judged_only) +
    mean(human - w judged), w = cov/((1 + n/N) var) clipped to [0, 1] unless
    given (PPI++: Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453; the
    variance is ppi_py's: covariance over n, variance of all predictions).
    """
    truth, said = as_pairs(human, judged)
    rest = as_floats("judged_only", judged_only)
    n, more = truth.size, rest.size
    if n < 2:
        return Fit(mean=float(truth.mean()), error=np.inf, df=1.0)
    spread = float(np.var(np.concatenate([said, rest]), ddof=1))
    if weight is None:
        joint = float(np.mean((truth - truth.mean()) * (said - said.mean())))
        weight = float(np.clip(joint / ((1 + n / more) * spread), 0, 1)) if spread > 0 else 0.0
    corrected = truth - weight * said
    error = np.sqrt(np.var(weight * rest) / more + np.var(corrected) / n)
    return Fit(mean=float(weight * rest.mean() + corrected.mean()), error=float(error), df=np.inf)


def compare_judged(
    human: ArrayLike, judged: ArrayLike, judged_only: ArrayLike, *, margin: float, alpha: float
) -> Finding:
    """Both tests of a paired difference that people confirmed on a sample.

    All arrays hold *differences* (candidate minus baseline, in [-1, 1]) of a
    random sample of this run's pairs: what people say of both arms (n,), what
    the judge says of the same (n,), and of the rest (N,). Differences absorb
    a judge that favours one arm. A worst-case pair (people -1, judge 0) is
    added for the margin, a best-case pair for the upper end.
    """
    require_alpha(alpha)
    require_margin(margin, below=1)
    truth, said = as_pairs(human, judged)
    rest = as_floats("judged_only", judged_only)
    fit = ppi_mean(truth, said, rest)
    worst, best = (ppi_mean(np.append(truth, end), np.append(said, 0.0), rest) for end in (-1.0, 1.0))
    n, how = truth.size, "prediction-powered mean of paired differences"
    return Finding(
        estimate=Estimate(
            center=fit.mean,
            low=max(worst.bound(alpha), -1.0),
            high=min(best.bound(1 - alpha), 1.0),
            confidence=1 - 2 * alpha,
            n=n,
            method=how,
        ),
        harm=Test(p=fit.lower_tail(0.0), n=n, method=how),
        noninferior=Test(p=worst.upper_tail(-margin), n=n, method=how),
        can_reject=bool(np.any(truth != 0) or np.any(said != 0) or np.any(rest != 0)),
        baseline=0.0,
        candidate=fit.mean,
        margin=margin,
        method=f"{how} (harm and margin): people labelled {n} of {n + rest.size} pairs",
    )
