"""Error rates and coverage of the score comparisons, by seeded simulation."""

import numpy as np
import pytest

from canary.stats.cluster import fit_mean, gather
from canary.stats.paired import compare_scores, tango_bounds
from canary.stats.strata import compare_pooled
from canary.stats.vector import Floats, Ints

RUNS = 2_000
LIMIT = 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)

pytestmark = pytest.mark.slow


def shares(base: Floats, cand: Floats, margin: float, clusters: Ints | None = None) -> tuple[float, float]:
    """Shares of runs (rows) that show harm, and that show the margin."""
    labels = np.arange(base.shape[1]) if clusters is None else clusters
    findings = [
        compare_scores(b, c, labels, margin=margin, alpha=0.05, bounded=True, seed=run)
        for run, (b, c) in enumerate(zip(base, cand, strict=True))
    ]
    return (
        float(np.mean([f.harm.p <= 0.05 for f in findings])),
        float(np.mean([f.noninferior.p < 0.05 for f in findings])),
    )


@pytest.mark.parametrize(("n", "margin"), [(30, 0.03), (60, 0.10), (300, 0.03)])
def test_rare_full_losses_at_the_margin_pass_at_alpha(n: int, margin: float) -> None:
    """Where the plain t test passes .40, .14 and .11, the worst-case pair keeps .06."""
    rng = np.random.default_rng(n)
    base = np.ones((RUNS, n))
    cand = np.where(rng.random((RUNS, n)) < margin, 0.0, 1.0)
    assert shares(base, cand, margin)[1] <= 0.056 + 3 * np.sqrt(0.056 * 0.944 / RUNS)


@pytest.mark.parametrize("n", [12, 40, 200])
def test_unchanged_scores_are_rarely_harm(n: int) -> None:
    """Skewed, lumpy and small: an unchanged candidate alarms at most at 5 %."""
    rng = np.random.default_rng(n)
    level = rng.beta(8, 2, (RUNS, n))
    base, cand = (np.where(rng.random((RUNS, n)) < 0.05, 0.0, level + 0.05 * rng.random((RUNS, n))) for _ in range(2))
    assert shares(np.clip(base, 0, 1), np.clip(cand, 0, 1), 0.1)[0] <= LIMIT


def test_clusters_keep_both_error_rates() -> None:
    """Prompts that share a document and an effect neither alarm nor pass too often."""
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(50), 4)
    effect = rng.normal(0, 0.1, (RUNS, 50))[:, clusters]
    base = np.full((RUNS, 200), 0.5)
    cand = np.clip(base + effect + rng.normal(0, 0.1, (RUNS, 200)), 0, 1)
    assert shares(base, cand, 0.05, clusters)[0] <= LIMIT
    assert shares(base, np.clip(cand - 0.05, 0, 1), 0.05, clusters)[1] <= LIMIT


def test_repeats_reduce_the_error_as_predicted() -> None:
    """With K answers a prompt the variance of the mean is (between + within/K)/n."""
    rng = np.random.default_rng(0)
    for repeats in (1, 4):
        means = rng.normal(0, 0.1, (RUNS, 60)) + rng.normal(0, 0.3, (RUNS, 60, repeats)).mean(axis=2)
        predicted = np.sqrt((0.01 + 0.09 / repeats) / 60)
        assert np.std(means.mean(axis=1)) == pytest.approx(predicted, rel=0.05)
        zeros = np.zeros(60, dtype=np.int64)
        errors = [fit_mean(gather(row, np.arange(60), zeros, np.ones(1))).error for row in means[:200]]
        assert np.mean(errors) == pytest.approx(predicted, rel=0.03)


@pytest.mark.parametrize("delta", [0.0, -0.05, 0.1])
@pytest.mark.parametrize("n", [30, 200])
def test_tango_covers(n: int, delta: float) -> None:
    """The 90 % interval covers the truth in at least .87 of 20,000 samples."""
    rng = np.random.default_rng(n)
    discordant = rng.binomial(n, 0.15, 20_000)
    lost = rng.binomial(discordant, (0.15 - delta) / 0.3)
    low, high = tango_bounds(lost, discordant - lost, n, 1.6448536269514722)
    assert np.mean((low <= delta) & (delta <= high)) >= 0.87


@pytest.mark.parametrize(
    ("sizes", "weights"),
    [
        ([60] * 8, [k / 36 for k in range(1, 9)]),
        ([20, 480], [0.5, 0.5]),
        ([30, 60, 120, 240], [0.4, 0.3, 0.2, 0.1]),
        ([10] * 20, [k / 210 for k in range(1, 21)]),
    ],
)
@pytest.mark.parametrize("margin", [0.03, 0.10])
def test_weighted_pools_pass_a_loss_at_the_margin_at_alpha(
    sizes: list[int], weights: list[float], margin: float
) -> None:
    """Pass/fail losses at the pooled margin pass at most .06, however the weights lie."""
    rng = np.random.default_rng(len(sizes))
    strata = np.repeat(np.arange(len(sizes)), sizes)
    base = np.ones(strata.size)
    passed = [
        compare_pooled(
            base,
            (rng.random(strata.size) >= margin).astype(float),
            np.arange(strata.size),
            strata,
            weights,
            margin=margin,
            alpha=0.05,
            kind="binary",
            seed=run,
        ).noninferior.p
        < 0.05
        for run in range(RUNS)
    ]
    assert np.mean(passed) <= 0.06 + 3 * np.sqrt(0.06 * 0.94 / RUNS)


def test_weighted_pools_rarely_alarm() -> None:
    """An unchanged candidate under production weights alarms at most at 5 %."""
    rng, weights = np.random.default_rng(0), [k / 36 for k in range(1, 9)]
    strata = np.repeat(np.arange(8), 60)
    alarms = []
    for run in range(RUNS):
        base = (rng.random(480) < 0.8).astype(float)
        cand = np.where(rng.random(480) < 0.3, (rng.random(480) < 0.8).astype(float), base)
        found = compare_pooled(
            base, cand, np.arange(480), strata, weights, margin=0.1, alpha=0.05, kind="binary", seed=run
        )
        alarms.append(found.harm.p <= 0.05)
    assert np.mean(alarms) <= LIMIT
