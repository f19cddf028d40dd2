"""Latency of live traffic: streams that share minutes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from canary.stats.stream_latency import compare_unpaired_quantile, compare_unpaired_trimmed_mean
from tests.stats.latencies import arms, streams

bodies = partial(compare_unpaired_trimmed_mean, trim=0.05, floor=0.0, alpha=0.05, seed=0)


def test_shared_minutes_are_drawn_for_both_streams() -> None:
    """A bad minute that slows both arms hardly widens their interval."""
    rng = np.random.default_rng(0)
    minute = np.repeat(np.arange(40), 20)
    effect = np.exp(0.4 * rng.normal(size=40))[minute]
    noise = rng.lognormal(-1, 0.2, (2, 800))
    widths = []
    for base, cand in (effect * noise, noise):
        end = bodies(*streams(base, cand, minute, minute), max_ratio=1.15).estimate
        widths.append(end.high - end.center)
    assert widths[0] < 2 * widths[1]


def test_streams_of_unequal_length_are_compared() -> None:
    """Ten to one routing gives an answer, and counts the smaller arm."""
    base, cand = arms(2_000)
    found = bodies(*streams(base, cand[:200], np.arange(2_000) // 50, np.arange(200) // 5), max_ratio=1.3)
    assert found.estimate.n == 200
    assert found.noninferior.p < 0.05


def test_a_ramp_through_a_slow_hour_is_no_difference() -> None:
    """The candidate got most of the slow hour; weighed by overlap the arms are equal, plainly they are not."""
    rng = np.random.default_rng(0)
    minute = np.repeat(np.arange(60), 40)
    slow = np.where(minute >= 30, 3.0, 1.0) * rng.lognormal(0, 0.1, minute.size)
    routed = rng.random(minute.size) < np.where(minute >= 30, 0.5, 0.05)
    found = bodies(*streams(slow[~routed], slow[routed], minute[~routed], minute[routed]), max_ratio=1.15)
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
