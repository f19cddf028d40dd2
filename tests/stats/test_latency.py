"""Latency: trimmed means, and what all of its tests promise together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from canary.stats.latency import (
    Sample,
    choose_blocks,
    compare_trimmed_mean,
    slow_share,
)
from canary.stats.paired import compare_binary
from canary.stats.results import Finding
from canary.stats.stream_latency import compare_unpaired_trimmed_mean
from canary.stats.vector import Floats
from tests.stats.latencies import arms, sample, streams, trimmed


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.1, 1.14, 1.3])
@pytest.mark.parametrize("floor", [0.0, 0.02, 0.2])
def test_inside_means_the_upper_end_is_inside(factor: float, floor: float) -> None:
    """The interval on the ratio scale and the p-value agree at every size of change."""
    base, cand = arms(400)
    found = trimmed(base, cand * factor, floor=floor)
    assert (found.noninferior.p < 0.05) is (found.estimate.high < found.margin)
    assert found.margin == pytest.approx(max(1.15, 1 + floor / found.baseline))
    assert found.estimate.center == pytest.approx(found.candidate / found.baseline)


def test_unit_of_time_changes_nothing() -> None:
    """Seconds or milliseconds: the same p-values and ratio."""
    base, cand = arms(300)
    one, other = trimmed(base, cand, floor=0.02), trimmed(1e3 * base, 1e3 * cand, floor=20)
    assert one.noninferior.p == pytest.approx(other.noninferior.p)
    assert one.harm.p == pytest.approx(other.harm.p)


def test_intervals_are_nested_across_alphas() -> None:
    """A smaller alpha never shortens the interval."""
    ends = [trimmed(*arms(200), alpha=alpha).estimate for alpha in (0.2, 0.05, 0.01)]
    assert ends[0].low > ends[1].low > ends[2].low
    assert ends[0].high < ends[1].high < ends[2].high


def test_bootstrap_error_is_that_of_the_influence_function() -> None:
    """The bootstrap's error of TM95 is the closed-form winsorised one, within its noise."""
    base, cand = arms(4_000)
    found = trimmed(base, cand)

    def influence(values: Floats) -> Floats:
        cut = np.quantile(values, 0.95)
        return np.minimum(values, cut) / 0.95

    spread = influence(cand) - 1.15 * influence(base)
    expected = stats.norm.ppf(0.95) * np.std(spread) / np.sqrt(4_000) / found.baseline
    assert found.estimate.high - found.estimate.center == pytest.approx(expected, rel=0.1)


def test_a_clear_slowdown_is_harm_and_a_clear_speedup_is_not() -> None:
    """+20 % is harm beyond any correction; -20 % is none and inside."""
    base, cand = arms(2_000)
    slower, faster = trimmed(base, 1.2 * cand), trimmed(base, 0.8 * cand)
    assert slower.harm.p < 1e-10
    assert slower.noninferior.p > 0.95
    assert faster.harm.p > 0.99
    assert faster.noninferior.p < 1e-10


def test_identical_recordings_pass() -> None:
    """A candidate with the baseline's very times is inside, and not harmed."""
    base, _ = arms(200)
    found = trimmed(base, base)
    assert (found.harm.p, found.estimate.center) == (1.0, 1.0)
    assert found.noninferior.p < 0.001


@pytest.mark.parametrize(
    ("n", "trim", "inside"), [(40, 0.05, False), (60, 0.05, True), (290, 0.01, False), (300, 0.01, True)]
)
def test_constant_times_prove_what_order_statistics_do(n: int, trim: float, *, inside: bool) -> None:
    """Without variance the p is the chance of having missed the tail, (1 - trim)^n."""
    same = np.full(n, 0.2)
    found = trimmed(same, same, trim=trim)
    assert found.noninferior.p == pytest.approx((1 - trim) ** n)
    assert (found.noninferior.p < 0.05) is inside is (found.estimate.high < found.margin)


def test_fewer_than_twenty_blocks_prove_nothing() -> None:
    """A run of 19 minutes says how many are lacking, and cannot reject."""
    base, cand = arms(190)
    for factor in (0.5, 3.0):
        found = compare_trimmed_mean(
            sample(base),
            sample(cand * factor),
            np.arange(190) // 10,
            trim=0.05,
            max_ratio=1.15,
            floor=0.0,
            alpha=0.05,
            seed=0,
        )
        assert (found.harm.p, found.noninferior.p, found.can_reject) == (1.0, 1.0, False)
        assert found.warnings == ("need >= 20 time blocks, have 19",)
        assert found.estimate.high == np.inf


def test_many_gaps_of_one_request_are_one_unit() -> None:
    """Copying every gap of a request a hundred times proves nothing more."""
    base, cand = arms(100)
    plain = trimmed(base, cand)
    first, second = (Sample(np.repeat(arm, 100), np.repeat(np.arange(100), 100), 100) for arm in (base, cand))
    copied = compare_trimmed_mean(
        first, second, np.arange(100), trim=0.05, max_ratio=1.15, floor=0.0, alpha=0.05, seed=1
    )
    assert copied.estimate.n == 100
    assert copied.estimate.high == pytest.approx(plain.estimate.high, rel=0.01)


def test_requests_without_a_value_still_have_their_block() -> None:
    """A failed request has no time; its pair keeps the rest."""
    base, cand = arms(300)
    alive = np.flatnonzero(np.arange(300) % 10)
    holes = Sample(cand[alive], alive, 300)
    found = compare_trimmed_mean(
        sample(base), holes, np.arange(300), trim=0.05, max_ratio=1.3, floor=0.0, alpha=0.05, seed=0
    )
    assert found.estimate.n == 270
    assert found.noninferior.p < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_unchanged_latency_is_rarely_harm_and_the_margin_holds(phi: float) -> None:
    """False alarms and false passes stay at 5 % under autocorrelated minutes, 2,000 runs."""
    runs, n, minutes = 2_000, 300, 60
    rng = np.random.default_rng(int(10 * phi))
    shared = rng.normal(size=(runs, minutes))
    for t in range(1, minutes):
        shared[:, t] = phi * shared[:, t - 1] + np.sqrt(1 - phi**2) * shared[:, t]
    minute = np.repeat(np.arange(minutes), n // minutes)
    alarms = np.zeros((runs, 3))
    for run in range(runs):
        base, cand = np.exp(0.2 * shared[run][minute] + 0.4 * rng.normal(size=(2, n)))
        same = compare(base, cand, 1.15, run)
        edge = compare(base, 1.15 * cand, 1.15, run)
        arm = rng.random(n) < 0.5  # one stream, routed at random
        routed = compare_unpaired_trimmed_mean(
            *streams(base[~arm], base[arm], minute[~arm], minute[arm]),
            trim=0.05,
            max_ratio=1.15,
            floor=0.0,
            alpha=0.05,
            seed=run,
        )
        alarms[run] = same.harm.p <= 0.05, edge.noninferior.p < 0.05, routed.harm.p <= 0.05
    assert np.all(alarms.mean(axis=0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs))
    assert np.all(alarms.mean(axis=0) >= 0.02)


def compare(base: Floats, cand: Floats, max_ratio: float, seed: int) -> Finding:
    """A paired TM95 comparison over measured blocks."""
    return compare_trimmed_mean(
        sample(base),
        sample(cand),
        choose_blocks(cand - base),
        trim=0.05,
        max_ratio=max_ratio,
        floor=0.0,
        alpha=0.05,
        seed=seed,
    )


@pytest.mark.slow
def test_a_tail_break_is_the_slow_shares_to_find() -> None:
    """Among 13 signals, 2 % to 4 % slow at n = 2,000 fails at least .80 of the runs; the body never does."""
    runs, n = 2_000, 2_000
    rng = np.random.default_rng(0)
    found, passed, blamed = [], [], []
    for run in range(runs):
        base, cand, same = rng.lognormal(0, 0.3, (3, n))
        slow = rng.random((3, n)) < np.array([0.02, 0.04, 0.02])[:, None]
        base, cand, same = (np.where(s, 8 * arm, arm) for s, arm in zip(slow, (base, cand, same), strict=True))
        threshold = 3 * float(np.median(base))
        hit = compare_binary(*(~arm for arm in slow_share(base, cand, threshold)), margin=0.02, alpha=0.05)
        aa = compare_binary(*(~arm for arm in slow_share(base, same, threshold)), margin=0.02, alpha=0.05)
        found.append(hit.harm.p <= 0.05 / 13 and hit.noninferior.p >= 0.05)
        passed.append(aa.noninferior.p < 0.05)
        if run < 200:
            blamed.append(trimmed(base, cand).noninferior.p >= 0.05)
    assert np.mean(found) >= 0.8
    assert np.mean(passed) >= 0.99
    assert np.mean(blamed) <= 0.02


def test_a_million_gaps_are_compared() -> None:
    """1.2 million inter-token gaps of 10,000 requests need no more memory than a few copies."""
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(10_000), 120)
    base, cand = (Sample(rng.exponential(0.03, units.size), units, 10_000) for _ in range(2))
    found = compare_trimmed_mean(
        base, cand, np.arange(10_000), trim=0.01, max_ratio=1.15, floor=0.002, alpha=0.05, seed=0
    )
    assert found.noninferior.p < 0.05
