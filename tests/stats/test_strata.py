"""Pooled estimates with the weights of production."""

import numpy as np
import pytest

from canary.stats.paired import compare_binary, compare_scores
from canary.stats.strata import compare_pooled

RNG = np.random.default_rng(0)
STRATA = np.repeat([0, 1, 2], [20, 30, 50])
BASE = (RNG.random(100) < 0.8).astype(float)
CAND = np.where(RNG.random(100) < 0.1, 1 - BASE, BASE)
SHARES = np.array([0.2, 0.3, 0.5])


def test_own_shares_give_the_plain_comparison() -> None:
    """Weights equal to the sample's shares change nothing for single prompts."""
    pooled = compare_pooled(BASE, CAND, np.arange(100), STRATA, SHARES, margin=0.1, alpha=0.05, kind="binary", seed=0)
    assert pooled == compare_binary(BASE, CAND, margin=0.1, alpha=0.05)


def test_own_shares_with_clusters_give_the_clustered_comparison() -> None:
    """Documents with several prompts are compared by cluster-robust t."""
    clusters = np.arange(100) // 2
    pooled = compare_pooled(BASE, CAND, clusters, STRATA, SHARES, margin=0.1, alpha=0.05, kind="binary", seed=0)
    assert pooled == compare_scores(BASE, CAND, clusters, margin=0.1, alpha=0.05, bounded=True, seed=0)


@pytest.mark.parametrize("kind", ["binary", "bounded", "unbounded"])
def test_other_weights_shift_the_estimate(kind: str) -> None:
    """Post-stratified arms and difference are the weighted stratum means."""
    weights = np.array([0.6, 0.3, 0.1])
    found = compare_pooled(
        BASE,
        CAND,
        np.arange(100),
        STRATA,
        weights,
        margin=0.1,
        alpha=0.05,
        kind=kind,  # type: ignore[arg-type]
        seed=0,
    )
    means = [sum(w * arm[k == STRATA].mean() for k, w in enumerate(weights)) for arm in (BASE, CAND)]
    assert (found.baseline, found.candidate) == pytest.approx(means)
    assert found.estimate.center == pytest.approx(means[1] - means[0])
    assert (found.estimate.low > -0.1) is (found.noninferior.p < 0.05)


def test_swapping_arms_negates_the_weighted_interval() -> None:
    """The weighted interval of the swapped arms is the negated one."""
    weights = [0.6, 0.3, 0.1]
    one, other = (
        compare_pooled(*arms, np.arange(100), STRATA, weights, margin=0.1, alpha=0.05, kind="bounded", seed=0).estimate
        for arms in ((BASE, CAND), (CAND, BASE))
    )
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_a_stratum_without_prompts_is_an_error() -> None:
    """Weight on an empty stratum is an unknown, and refused by number."""
    with pytest.raises(ValueError, match=r"\[3\] have weight but no prompts"):
        compare_pooled(
            BASE, CAND, np.arange(100), STRATA, [0.2, 0.3, 0.4, 0.1], margin=0.1, alpha=0.05, kind="binary", seed=0
        )
    found = compare_pooled(
        BASE, CAND, np.arange(100), STRATA, [0.2, 0.3, 0.5, 0.0], margin=0.1, alpha=0.05, kind="binary", seed=0
    )
    assert found.estimate.n == 100


@pytest.mark.parametrize("weights", [[0.5, 0.5], [0.5, 0.6, 0.1], [-0.2, 0.7, 0.5]])
def test_weights_must_be_shares(weights: list[float]) -> None:
    """Weights are one per stratum, not negative, and sum to 1."""
    with pytest.raises(ValueError, match=r"strata|weights"):
        compare_pooled(BASE, CAND, np.arange(100), STRATA, weights, margin=0.1, alpha=0.05, kind="binary", seed=0)


def test_a_stratum_of_one_prompt_is_defined() -> None:
    """A lone prompt under production weights widens the interval, no more."""
    strata = np.append(np.zeros(99, dtype=int), 1)
    found = compare_pooled(
        BASE, CAND, np.arange(100), strata, [0.9, 0.1], margin=0.1, alpha=0.05, kind="binary", seed=0
    )
    assert np.isfinite([found.estimate.low, found.estimate.high]).all()
    assert found.noninferior.p > 0.05
