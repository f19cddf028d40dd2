"""Confidence sequences against confseq's published figures."""

import numpy as np
import pytest

from canary.stats.confidence_sequence import (
    asymptotic_width,
    bernoulli_sequence,
    log_mixture,
    mean_sequence,
    quantile_sequence,
)


@pytest.mark.parametrize(
    ("successes", "n", "t_opt", "low", "high"),
    [
        (700, 1_000, 100, 0.651629, 0.745949),
        (15, 50, 50, 0.129556, 0.511896),
        (5, 50, 50, 0.013021, 0.269264),
        (1, 50, 50, 0.0, 0.13489),
        (1, 2, 50, 0.0, 1.0),
        (100, 200, 1, 0.328923, 0.671076),
        (0, 1, 50, 0.0, 1.0),
        (1, 1, 50, 0.0, 1.0),
    ],
)
def test_bernoulli_sequence_is_confseqs(successes: int, n: int, t_opt: float, low: float, high: float) -> None:
    """The figures of confseq's own test suite come out to 1e-5."""
    found = bernoulli_sequence(successes, n, alpha=0.05, t_opt=t_opt)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-5)


def test_mixture_is_a_martingale_start() -> None:
    """Before any observation the mixture is 1; it grows away from the null."""
    assert float(log_mixture(0.3, 0, 0.5, 100, 0.05)) == pytest.approx(0)
    assert float(log_mixture(0.9, 200, 0.5, 100, 0.05)) > 10


def test_quantile_sequence_holds_its_quantile() -> None:
    """The interval is made of order statistics around the quantile, infinite for few values."""
    values = np.arange(1_000.0)
    found = quantile_sequence(values, 0.9, alpha=0.05, t_opt=500)
    assert found.low in values
    assert found.high in values
    assert found.low < 899 < found.high
    few = quantile_sequence(values[:3], 0.9, alpha=0.05, t_opt=500)
    assert (few.low, few.high) == (-np.inf, np.inf)


def test_sequences_are_nested_across_alphas() -> None:
    """A smaller alpha never shortens any of the three sequences."""
    values = np.random.default_rng(0).random(400)
    alphas = (0.2, 0.05, 0.01)
    for ends in (
        [bernoulli_sequence(60, 400, alpha=alpha, t_opt=400) for alpha in alphas],
        [quantile_sequence(values, 0.5, alpha=alpha, t_opt=400) for alpha in alphas],
        [mean_sequence(values, alpha=alpha, t_opt=400) for alpha in alphas],
    ):
        assert ends[0].low >= ends[1].low >= ends[2].low
        assert ends[0].high <= ends[1].high <= ends[2].high


def test_mean_sequence_is_open_after_one_value() -> None:
    """One value bounds nothing; many narrow the mean like 1/sqrt(n), a little wider."""
    one = mean_sequence([0.3], alpha=0.05, t_opt=100)
    assert (one.low, one.high) == (-np.inf, np.inf)
    assert 1.96 / np.sqrt(1_000) < asymptotic_width(1_000, alpha=0.05, t_opt=1_000) < 2 * 1.96 / np.sqrt(1_000)


@pytest.mark.slow
def test_sequences_cover_at_every_moment() -> None:
    """Over 2,000 streams the truth leaves the Bernoulli and the mean sequence in at most 5 %."""
    rng = np.random.default_rng(0)
    x = (rng.random((2_000, 600)) < 0.1).astype(float)
    n = np.arange(1, 601)
    running = np.cumsum(x, axis=1) / n
    left = np.any(log_mixture(running, n, 0.1, 300, 0.05) >= np.log(20), axis=1)
    assert np.mean(left) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2_000)
    half = np.array([asymptotic_width(int(t), alpha=0.05, t_opt=300) for t in n[99:]])
    sd = np.sqrt(running * (1 - running))[:, 99:]
    outside = np.any(np.abs(running[:, 99:] - 0.1) > sd * half, axis=1)
    assert np.mean(outside) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2_000)
