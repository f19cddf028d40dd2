"""Is the candidate slower? Body, tail, mean gaps and share of slow requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canary.compare.apart import FAMILY
from canary.plan import Plan
from canary.records import Comparison
from canary.signals.levels import final_levels
from canary.signals.reading import Reading, as_rate_of_harm, dense, read, seed_of, with_floor
from canary.signals.wording import Unit
from canary.stats.latency import Sample, choose_blocks, compare_quantile, compare_trimmed_mean, slow_share
from canary.stats.results import Finding
from canary.stats.strata import compare_pooled
from canary.timing import MEAN_GAP, RatioRule, SlowRule

TRIMS = {"tm95": 0.05, "tm99": 0.01, "mean": 0.05}
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
SLOW_FACTOR = 3.0
"""Slow is this many times the baseline's median where no objective is given."""


def latency_signals(comparison: Comparison, plan: Plan) -> Iterator[Reading]:
    """Every rule the policy has for this latency."""
    samples = _finite(comparison)
    for name, rule in rules_of(comparison.metric, plan).items():
        if isinstance(rule, SlowRule):
            yield _slow(comparison, plan, rule, name)
        elif rule is not None:
            yield _ratio(comparison, samples, plan, rule, name)


def rules_of(metric: str, plan: Plan) -> dict[str, Any]:
    """The rules of one latency, by the name of the signal that each is for.

    A request, not a gap, is slow or not, and one long gap is a small share of
    its gaps: these two are asked of the mean gap of each request (`tpot`).
    """
    family = FAMILY.get(metric, metric)
    rules = getattr(plan.policy.latency, family).rules()
    if metric == "tpot":
        return {f"latency/{family}/slow": rules["slow"], MEAN_GAP: rules["tm95"]}
    if metric == "itl":
        del rules["slow"]
    return {f"latency/{family}/{name}": rules[name] for name in sorted(rules, key=lambda name: name != "slow")}


def _slow(comparison: Comparison, plan: Plan, rule: SlowRule, name: str) -> Reading:
    return read(
        comparison,
        lambda: _test_slow(comparison, plan, rule, name),
        name=name,
        metric="slow",
        tier=rule.tier,
        effect="difference",
        unit=Unit.SHARE,
        worse=1,
        margin=rule.max_increase,
    )


def _test_slow(comparison: Comparison, plan: Plan, rule: SlowRule, name: str) -> Finding:
    served = comparison.baseline[np.isfinite(comparison.baseline)]
    if rule.threshold_s is None and served.size == 0:
        raise ValueError("every baseline request failed, so there is no median to call slow by")
    threshold = rule.threshold_s or SLOW_FACTOR * float(np.median(served))
    baseline, candidate = slow_share(comparison.baseline, comparison.candidate, threshold)
    clusters = dense(comparison.clusters)
    return as_rate_of_harm(
        compare_pooled(
            (~baseline).astype(float),
            (~candidate).astype(float),
            clusters,
            comparison.strata,
            comparison.weights,
            margin=rule.max_increase,
            alpha=final_levels(plan).promote,
            kind="binary",
            seed=seed_of(plan, name),
        )
    )


def _ratio(
    comparison: Comparison, samples: tuple[Sample, Sample] | None, plan: Plan, rule: RatioRule, name: str
) -> Reading:
    metric = name.rpartition("/")[2]
    reading = read(
        comparison,
        lambda: _test_ratio(comparison, samples, plan, rule, metric),
        name=name,
        metric=metric,
        tier=rule.tier,
        effect="ratio",
        unit=Unit.SECONDS,
        worse=1,
        margin=rule.max_ratio,
    )
    return with_floor(reading, rule)


def _test_ratio(
    comparison: Comparison, samples: tuple[Sample, Sample] | None, plan: Plan, rule: RatioRule, metric: str
) -> Finding:
    if samples is None:
        raise ValueError("no pair was served in both arms")
    test = _test_trimmed if metric in TRIMS else _test_quantile
    return test(comparison, samples, plan, rule, metric)


def _test_trimmed(
    comparison: Comparison, samples: tuple[Sample, Sample], plan: Plan, rule: RatioRule, metric: str
) -> Finding:
    return compare_trimmed_mean(
        *samples,
        _blocks(comparison, *samples, plan),
        trim=TRIMS[metric],
        floor=rule.floor_s,
        max_ratio=rule.max_ratio,
        alpha=final_levels(plan).promote,
        seed=seed_of(plan, f"{comparison.name}/{metric}"),
    )


def _test_quantile(
    comparison: Comparison, samples: tuple[Sample, Sample], plan: Plan, rule: RatioRule, metric: str
) -> Finding:
    return compare_quantile(
        *samples,
        _blocks(comparison, *samples, plan),
        q=QUANTILES[metric],
        max_ratio=rule.max_ratio,
        alpha=final_levels(plan).promote,
        seed=seed_of(plan, f"{comparison.name}/{metric}"),
    )


def _finite(comparison: Comparison) -> tuple[Sample, Sample] | None:
    """Both arms without the pairs that failed in either; None if none is left."""
    baseline_units, candidate_units = _units(comparison)
    failed = np.zeros(comparison.n, dtype=bool)
    failed[baseline_units[~np.isfinite(comparison.baseline)]] = True
    failed[candidate_units[~np.isfinite(comparison.candidate)]] = True
    if failed.all():
        return None
    number = np.cumsum(~failed) - 1
    return (
        _sample(comparison.baseline, baseline_units, failed, number),
        _sample(comparison.candidate, candidate_units, failed, number),
    )


def _sample(
    values: NDArray[np.float64], units: NDArray[np.int64], failed: NDArray[np.bool_], number: NDArray[np.int64]
) -> Sample:
    if not failed.any():
        return Sample(values, units, len(failed))
    kept = ~failed[units]
    return Sample(values[kept], number[units[kept]], int(number[-1]) + 1)


def _units(comparison: Comparison) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    alone = np.arange(comparison.n)
    return (
        alone if comparison.baseline_units is None else comparison.baseline_units,
        alone if comparison.candidate_units is None else comparison.candidate_units,
    )


def _blocks(comparison: Comparison, baseline: Sample, candidate: Sample, plan: Plan) -> NDArray[np.int64]:
    """Stretches of time that hang together; single pairs where no clock was kept.

    At least as long as the calibration found them.
    """
    if not comparison.timed:
        return np.arange(baseline.n_units)
    rhythms = () if plan.calibration is None else plan.calibration.latency
    least = max((rhythm.block for rhythm in rhythms if rhythm.metric == comparison.metric), default=1)
    return choose_blocks(_unit_means(candidate) - _unit_means(baseline), least=least)


def gaps_in_time(comparison: Comparison) -> NDArray[np.float64]:
    """Candidate minus baseline, pair by pair in the order of the clock; empty without one."""
    samples = _finite(comparison) if comparison.timed and comparison.n else None
    return np.empty(0) if samples is None else _unit_means(samples[1]) - _unit_means(samples[0])


def _unit_means(sample: Sample) -> NDArray[np.float64]:
    counts = np.bincount(sample.units, minlength=sample.n_units)
    return np.asarray(
        np.bincount(sample.units, weights=sample.values, minlength=sample.n_units) / np.maximum(counts, 1)
    )
