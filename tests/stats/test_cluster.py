"""Clustered means, sign flips and the worst case."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from canary.stats.cluster import Clustered, effective_clusters, fit_mean, gather, harm_test, sign_flip
from canary.stats.vector import Floats, Ints


def one_stratum(values: Floats, clusters: Ints) -> Clustered:
    """Values of a single stratum of weight 1."""
    return gather(values, clusters, np.zeros(values.size, dtype=np.int64), np.ones(1))


def test_error_is_the_clustered_sandwich() -> None:
    """The standard error is statsmodels' clustered one with factor G/(G - 1)."""
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 12, 90)
    values = rng.normal(size=90) + rng.normal(size=12)[clusters]
    fit = sm.OLS(values, np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    ours = fit_mean(one_stratum(values, clusters))
    assert ours.mean == pytest.approx(float(fit.params[0]))
    assert ours.error == pytest.approx(float(fit.bse[0]))
    assert ours.df == pytest.approx(11)


def test_strata_have_the_textbook_error() -> None:
    """With singles in strata the variance is sum w^2 s^2/n and df Satterthwaite's."""
    rng = np.random.default_rng(1)
    strata = np.repeat([0, 1, 2], [10, 20, 40])
    values, weights = rng.normal(size=70) * (1 + strata), np.array([0.5, 0.3, 0.2])
    fit = fit_mean(gather(values, np.arange(70), strata, weights))
    parts = np.array([w**2 * np.var(values[strata == k], ddof=1) / np.sum(strata == k) for k, w in enumerate(weights)])
    assert fit.mean == pytest.approx(sum(w * values[strata == k].mean() for k, w in enumerate(weights)))
    assert fit.error == pytest.approx(np.sqrt(parts.sum()))
    assert fit.df == pytest.approx(parts.sum() ** 2 / np.sum(parts**2 / np.array([9, 19, 39])))


def test_a_cluster_may_span_strata() -> None:
    """A document with prompts in two strata adds its residuals before squaring."""
    values = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    strata, spanning = np.repeat([0, 1], 3), np.array([0, 1, 2, 0, 1, 2])
    apart = fit_mean(gather(values, np.arange(6), strata, np.array([0.5, 0.5])))
    together = fit_mean(gather(values, spanning, strata, np.array([0.5, 0.5])))
    assert together.mean == apart.mean
    assert together.error > apart.error  # the third document gains in one, the first in both


def test_worst_case_goes_where_it_weighs_most() -> None:
    """One cluster joins the stratum of the largest w/(G + 1), and every lone cluster."""
    strata = np.repeat([0, 1, 2], [10, 3, 1])
    data = gather(np.zeros(14), np.arange(14), strata, np.array([0.5, 0.4, 0.1])).with_extreme(-1.0)
    assert data.groups.tolist() == [10, 4, 2]
    assert data.means.tolist() == [0, -0.25, -0.5]


def test_worst_case_has_the_size_of_a_cluster() -> None:
    """Where prompts share documents, a document is lost, not a prompt."""
    data = one_stratum(np.zeros(20), np.repeat(np.arange(5), 4)).with_extreme(-1.0)
    assert (data.sums[-1], data.sizes[-1]) == (-4, 4)


def test_a_lone_cluster_has_no_error() -> None:
    """A stratum of one cluster leaves p at 1 and the bounds infinite."""
    fit = fit_mean(one_stratum(np.ones(3), np.zeros(3, dtype=np.int64)))
    assert (fit.upper_tail(0.0), fit.lower_tail(0.0)) == (1.0, 1.0)
    assert (fit.bound(0.05), fit.bound(0.95)) == (-np.inf, np.inf)


def test_sign_flips_are_exact_for_few_clusters() -> None:
    """Up to 15 non-zero clusters p is scipy's exact paired permutation test."""
    d = np.random.default_rng(2).normal(-0.3, 1, 11)
    exact = stats.permutation_test(
        (d, np.zeros(11)), lambda a, b: np.mean(a - b), permutation_type="samples", alternative="less"
    )
    assert sign_flip(d, seed=0).p == pytest.approx(exact.pvalue)
    assert sign_flip(np.append(d, np.zeros(500)), seed=0).p == pytest.approx(exact.pvalue)


def test_random_sign_flips_agree_with_t() -> None:
    """With 400 normal clusters drawn flips and the t test say the same."""
    d = np.random.default_rng(3).normal(-0.06, 1, 400)
    assert sign_flip(d, seed=0).p == pytest.approx(stats.ttest_1samp(d, 0, alternative="less").pvalue, abs=0.01)


def test_sign_flips_depend_on_the_seed_alone() -> None:
    """The same seed gives the same p in any order; p never reaches 0."""
    d = np.random.default_rng(4).normal(-5, 1, 50)
    assert sign_flip(d, seed=1).p == sign_flip(d[::-1], seed=1).p == 1 / 20_001


def test_harm_changes_to_t_at_thirty_effective_clusters() -> None:
    """Few or lumpy clusters flip signs; many smooth ones take t."""
    rng = np.random.default_rng(5)
    smooth, few = rng.normal(size=300), rng.normal(size=29)
    lumpy = np.where(np.arange(300) < 5, -1.0, 0.001 * smooth)
    rules = [harm_test(one_stratum(d, np.arange(d.size)), seed=0).method for d in (smooth, few, lumpy)]
    assert ["sign flips" in rule for rule in rules] == [False, True, True]
    assert effective_clusters(lumpy) < 30 < effective_clusters(smooth)
    assert effective_clusters(np.zeros(3)) == 0
