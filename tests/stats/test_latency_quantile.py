"""Latency: quantiles and the slow share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from canary.stats.latency import (
    Sample,
    compare_quantile,
    compare_trimmed_mean,
    minimum_n,
    slow_share,
)
from tests.stats.latencies import arms, sample, trimmed

LLMPERF = Path(__file__).parents[3] / "shared" / "data" / "llmperf" / "llmperf_7b.csv"


@pytest.mark.parametrize(
    ("q", "confidence", "n"), [(0.99, 0.95, 299), (0.99, 0.975, 368), (0.999, 0.95, 2995), (0.5, 0.95, 5)]
)
def test_least_n_for_a_quantile(q: float, confidence: float, n: int) -> None:
    """One more value than n - 1 makes 1 - q^n reach the confidence."""
    assert minimum_n(q, confidence) == n
    assert 1 - q**n >= confidence > 1 - q ** (n - 1)


def test_p99_is_refused_below_299() -> None:
    """298 requests give no verdict on p99, whatever it looks like; 299 do."""
    base, cand = arms(299)
    few, enough = (
        compare_quantile(
            sample(base[:n]), sample(4 * cand[:n]), np.arange(n), q=0.99, max_ratio=1.3, alpha=0.05, seed=0
        )
        for n in (298, 299)
    )
    assert (few.harm.p, few.noninferior.p, few.can_reject) == (1.0, 1.0, False)
    assert few.warnings == ("p99 needs >= 299 requests an arm, have 298",)
    assert enough.harm.p < 0.05


def test_swapping_arms_inverts_the_quantile_ratio() -> None:
    """The interval of the swapped arms is the reciprocal one."""
    base, cand = arms(500)
    one, other = (
        compare_quantile(sample(a), sample(b), np.arange(500), q=0.5, max_ratio=1.2, alpha=0.05, seed=0).estimate
        for a, b in ((base, cand), (cand, base))
    )
    assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))


@pytest.mark.parametrize("factor", [0.9, 1.1, 1.18, 1.4])
def test_quantile_interval_inverts_its_test(factor: float) -> None:
    """For quantiles too, inside and an upper end inside are one thing."""
    base, cand = arms(500)
    found = compare_quantile(
        sample(base), sample(factor * cand), np.arange(500), q=0.5, max_ratio=1.2, alpha=0.05, seed=0
    )
    assert (found.noninferior.p < 0.05) is (found.estimate.high < 1.2)
    assert (found.harm.p < 0.05) is (found.estimate.low > 1)


def test_failures_are_slow() -> None:
    """A request that failed is infinitely slow, in either arm."""
    base, cand = slow_share([0.1, 3.0, np.inf], [0.1, 0.1, 0.1], 2.5)
    assert base.tolist() == [False, True, True]
    assert cand.tolist() == [False, False, False]
    with pytest.raises(ValueError, match="NaN"):
        slow_share([np.nan], [0.1], 1.0)


def test_longer_answers_are_not_slower_tokens() -> None:
    """Twice as many gaps of the same length leave the time per token as it was."""
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(200), 20)
    doubled = np.repeat(np.arange(200), 40)
    base = Sample(rng.lognormal(-3, 0.3, 4_000), units, 200)
    cand = Sample(rng.lognormal(-3, 0.3, 8_000), doubled, 200)
    found = compare_trimmed_mean(base, cand, np.arange(200), trim=0.05, max_ratio=1.15, floor=0.002, alpha=0.05, seed=0)
    assert found.harm.p > 0.05
    assert found.noninferior.p < 0.05


def test_refuses_what_has_no_ratio() -> None:
    """Zero baselines, unlike units and impossible times are errors."""
    zeros, ones = sample(np.zeros(30)), sample(np.ones(30))
    options = {"trim": 0.05, "max_ratio": 1.15, "floor": 0.0, "alpha": 0.05, "seed": 0}
    with pytest.raises(ValueError, match="latency is 0"):
        compare_trimmed_mean(zeros, ones, np.arange(30), **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="same units"):
        compare_trimmed_mean(ones, sample(np.ones(29)), np.arange(30), **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_ratio"):
        compare_trimmed_mean(ones, ones, np.arange(30), **{**options, "max_ratio": 1.0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="quantile is 0"):
        compare_quantile(ones, zeros, np.arange(30), q=0.5, max_ratio=1.2, alpha=0.05, seed=0)
    for values, units, n in (([], [], 1), ([-1.0], [0], 1), ([np.inf], [0], 1), ([1.0], [1], 1)):
        with pytest.raises(ValueError, match=r"values|units"):
            Sample(np.array(values), np.array(units, dtype=np.int64), n)


def test_real_endpoints_that_differ_in_the_tail() -> None:
    """Two hosted endpoints of one model: the harm found is the harm there is."""
    if not LLMPERF.exists():
        pytest.skip(f"no real latencies: {LLMPERF} is not on this machine")
    rows = np.genfromtxt(LLMPERF, delimiter=",", names=True, dtype=None, encoding="utf-8")
    times = {name: rows["ttft_s"][(rows["provider"] == name)] for name in ("fireworks", "together")}
    base, cand = (times[name][np.isfinite(times[name])] for name in ("fireworks", "together"))
    n = min(base.size, cand.size)
    found = trimmed(base[:n], cand[:n])
    assert found.estimate.center == pytest.approx(
        stats.trim1(cand[:n], 0.05, tail="right").mean() / stats.trim1(base[:n], 0.05, tail="right").mean()
    )
    assert (found.harm.p < 0.05) is (found.estimate.center > 1.1)
