"""Latency: trimmed means, quantiles and the slow share."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from canary.stats.latency import (
    Sample,
    choose_blocks,
    compare_quantile,
    compare_trimmed_mean,
    minimum_n,
    slow_share,
)
from canary.stats.paired import compare_binary
from canary.stats.results import Finding
from canary.stats.stream_latency import LatencyStream, compare_unpaired_quantile, compare_unpaired_trimmed_mean
from canary.stats.streams import overlap_weights
from canary.stats.vector import Floats, Ints

LLMPERF = Path(__file__).parents[3] / "shared" / "data" / "llmperf" / "llmperf_7b.csv"


def sample(values: Floats) -> Sample:
    """One value per request."""
    return Sample(values, np.arange(values.size), values.size)


def arms(n: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Two lognormal streams of one distribution."""
    rng = np.random.default_rng(seed)
    return rng.lognormal(-1, 0.4, n), rng.lognormal(-1, 0.4, n)


def trimmed(
    base: Floats, cand: Floats, *, trim: float = 0.05, max_ratio: float = 1.15, floor: float = 0.0, alpha: float = 0.05
) -> Finding:
    """A paired comparison, every request its own block."""
    return compare_trimmed_mean(
        sample(base),
        sample(cand),
        np.arange(base.size),
        trim=trim,
        max_ratio=max_ratio,
        floor=floor,
        alpha=alpha,
        seed=1,
    )


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


def streams(base: Floats, cand: Floats, base_blocks: Ints, cand_blocks: Ints) -> tuple[LatencyStream, LatencyStream]:
    """Two arms routed at random, one value a unit."""
    weights = overlap_weights(base_blocks, cand_blocks)
    return (
        LatencyStream(sample(base), np.asarray(base_blocks), weights[0]),
        LatencyStream(sample(cand), np.asarray(cand_blocks), weights[1]),
    )


def test_shared_minutes_are_drawn_for_both_streams() -> None:
    """A bad minute that slows both arms hardly widens their interval."""
    rng = np.random.default_rng(0)
    minute = np.repeat(np.arange(40), 20)
    effect = np.exp(0.4 * rng.normal(size=40))[minute]
    noise = rng.lognormal(-1, 0.2, (2, 800))
    widths = []
    for base, cand in (effect * noise, noise):
        end = compare_unpaired_trimmed_mean(
            *streams(base, cand, minute, minute), trim=0.05, max_ratio=1.15, floor=0.0, alpha=0.05, seed=0
        ).estimate
        widths.append(end.high - end.center)
    assert widths[0] < 2 * widths[1]


def test_streams_of_unequal_length_are_compared() -> None:
    """Ten to one routing gives an answer, and counts the smaller arm."""
    base, cand = arms(2_000)
    found = compare_unpaired_trimmed_mean(
        *streams(base, cand[:200], np.arange(2_000) // 50, np.arange(200) // 5),
        trim=0.05,
        max_ratio=1.3,
        floor=0.0,
        alpha=0.05,
        seed=0,
    )
    assert found.estimate.n == 200
    assert found.noninferior.p < 0.05


def test_a_ramp_through_a_slow_hour_is_no_difference() -> None:
    """The candidate got most of the slow hour; weighed by overlap the arms are equal, plainly they are not."""
    rng = np.random.default_rng(0)
    minute = np.repeat(np.arange(60), 40)
    slow = np.where(minute >= 30, 3.0, 1.0) * rng.lognormal(0, 0.1, minute.size)
    routed = rng.random(minute.size) < np.where(minute >= 30, 0.5, 0.05)
    found = compare_unpaired_trimmed_mean(
        *streams(slow[~routed], slow[routed], minute[~routed], minute[routed]),
        trim=0.05,
        max_ratio=1.15,
        floor=0.0,
        alpha=0.05,
        seed=0,
    )
    assert found.estimate.center == pytest.approx(1, abs=0.03)
    assert slow[routed].mean() / slow[~routed].mean() > 1.3


def test_arms_of_different_hours_are_not_compared() -> None:
    """Without a shared stretch of time there is nothing to compare."""
    base, cand = arms(100)
    with pytest.raises(ValueError, match="same time"):
        compare_unpaired_quantile(
            *streams(base, cand, np.zeros(100, dtype=np.int64), np.ones(100, dtype=np.int64)),
            q=0.5,
            max_ratio=1.15,
            alpha=0.05,
            seed=0,
        )


def test_unweighted_streams_have_the_plain_quantile() -> None:
    """With one split throughout, each arm's value is its own order statistic."""
    base, cand = arms(1_000)
    blocks = np.arange(1_000) // 25
    found = compare_unpaired_quantile(*streams(base, cand, blocks, blocks), q=0.5, max_ratio=1.15, alpha=0.05, seed=0)
    expected = [np.quantile(arm, 0.5, method="inverted_cdf") for arm in (base, cand)]
    assert (found.baseline, found.candidate) == pytest.approx(tuple(expected), rel=0.01)


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
