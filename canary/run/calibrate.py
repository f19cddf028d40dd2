"""The baseline against itself: how much two runs of one release differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TextIO

import numpy as np

from canary.calibration import LIKENESS, NOISE_SCHEMA, Calibration, Noise, Rhythm, Similarity, Usage
from canary.compare import compare
from canary.compare.quality import columns_of
from canary.compare.table import Table, tabulate
from canary.config import load_pipeline
from canary.document import display
from canary.errors import ConfigError
from canary.located import printable
from canary.pipeline import Pipeline
from canary.plan import Plan
from canary.records import POOLED, Arm, Comparison, Decision, Evidence
from canary.release import ReplayRelease
from canary.run.execute import start_loaded
from canary.run.learned import metrics_of, similarities
from canary.run.load import calibration_of, resolve
from canary.run.recorded import Judged
from canary.signals.latency import gaps_in_time
from canary.stats.noise import block_length, lag_one, split_variance

_USE = " (`threshold: learned` takes it)"
LEAST_TIMED = 40
"""Fewer pairs show no autocorrelation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A calibration and where it was written, with the run it rests on."""

    calibration: Calibration
    path: Path
    run: Path
    seal: str
    """The sha256 of the run's manifest."""


def calibrate_noise(
    path: Path, *, stage: str = "staging", runs: Path, out: Path | None, again: Path | None, err: TextIO
) -> Calibrated:
    """Run a pipeline's baseline against itself and store how it differs.

    `again` is a second recording of a recorded baseline. Raises UsageError
    with every mistake found, before anything is asked.
    """
    pipeline = load_pipeline(path)
    bench = pipeline.runner.model_copy(update={"share": pipeline.shares_engine})  # as the run will have it
    itself = pipeline.model_copy(update={"candidate": _again(pipeline, path, again), "runner": bench})
    loaded = resolve(itself, path, stage=stage)
    plan = loaded.plan.model_copy(update={"purpose": "calibration"})
    finished = start_loaded(replace(loaded, plan=plan), runs=runs, err=err)
    calibration = calibrate(finished.judged)
    target = out or calibration_of(pipeline, path)
    target.write_text(calibration.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
    return Calibrated(calibration=calibration, path=target, run=finished.path, seal=finished.seal)


def _again(pipeline: Pipeline, path: Path, again: Path | None) -> object:
    """The release that the baseline is compared with: itself."""
    baseline = pipeline.baseline
    if not isinstance(baseline, ReplayRelease):
        if again is not None:
            raise ConfigError(f"'--again' is for recorded releases; the baseline of {display(path)} answers for itself")
        return baseline
    if again is None:
        raise ConfigError(
            f"'--again' must name a second recording of the baseline of {display(path)}, made by the same release "
            "(got nothing)"
        )
    if not again.is_file():
        raise ConfigError(f"'--again' names {display(again)}, which does not exist")
    return baseline.model_copy(update={"responses": str(again.resolve())})


def calibrate(judged: Judged) -> Calibration:
    """What a run of the baseline against itself measured."""
    plan, evidence = judged.plan, judged.evidence
    table = tabulate(evidence, plan)
    comparisons = compare(evidence, plan)
    within = _within(table, evidence, plan)
    return Calibration(
        schema=NOISE_SCHEMA,
        baseline=plan.baseline.digest,
        golden=plan.golden_sha256,
        scoring=plan.scoring_digest(),
        repeat=plan.suite.repeat,
        verdict=judged.verdict.verdict,
        reason=judged.verdict.reason,
        noise=tuple(_noise(c, within) for c in comparisons if c.kind == "quality" and c.n),
        latency=() if plan.sequential else tuple(_rhythms(comparisons)),
        similar=tuple(_similarities(evidence, plan)),
        usage=_usage(evidence),
    )


def _noise(comparison: Comparison, within: Mapping[tuple[str, str], float]) -> Noise:
    differences = comparison.candidate - comparison.baseline
    return Noise(
        metric=comparison.metric,
        stratum=comparison.stratum,
        n=comparison.n,
        discordance=float(np.mean(differences != 0)),
        spread=float(np.sqrt(np.mean(differences**2))),
        within=within[comparison.metric, comparison.stratum],
    )


def _within(table: Table, evidence: Evidence, plan: Plan) -> dict[tuple[str, str], float]:
    """Variance of one answer about its prompt's mean: both runs are answers of one release."""
    found = {}
    for metric, column in columns_of(table, evidence.scores, plan).items():
        values = np.concatenate([column.values[arm].reshape(-1, table.repeat) for arm in Arm], axis=1)
        for stratum in (POOLED, *table.strata_names):
            rows = values[table.selection(stratum) & np.isfinite(values).all(axis=1)]
            prompts = np.repeat(np.arange(len(rows)), values.shape[1])
            found[metric, stratum] = split_variance(rows.ravel(), prompts).within if len(rows) else 0.0
    return found


def _rhythms(comparisons: tuple[Comparison, ...]) -> Iterator[Rhythm]:
    for comparison in comparisons:
        gaps = gaps_in_time(comparison) if comparison.kind == "latency" else np.empty(0)
        if gaps.size >= LEAST_TIMED:
            yield Rhythm(metric=comparison.metric, n=gaps.size, block=block_length(gaps), autocorrelation=lag_one(gaps))


def _similarities(evidence: Evidence, plan: Plan) -> Iterator[Similarity]:
    """A threshold for every metric of a `similar` assertion and for the answers themselves, where there are enough."""
    alpha = plan.policy.alpha.rollback
    yield from similarities(metrics_of(plan, evidence.prompts), evidence.scores, evidence.responses, alpha)
    for found in evidence.telemetry:
        if found.id == LIKENESS:
            yield Similarity(metric=LIKENESS, n=found.n, alpha=alpha, threshold=found.value)


def _usage(evidence: Evidence) -> Usage:
    answers = [response for response in evidence.responses if response.arm is Arm.BASELINE]
    means = {}
    for name in ("input_tokens", "output_tokens", "total_s"):
        known = [float(value) for response in answers if (value := getattr(response, name)) is not None]
        means[name] = fmean(known) if known else None
    return Usage(**means)


def render_calibration(calibrated: Calibrated) -> str:
    """What was measured, in words."""
    calibration = calibrated.calibration
    lines = [f"{'stratum':24} {'metric':16} {'cases':>6} {'discordance':>12} {'spread':>8}"]
    lines += [_row(noise) for noise in calibration.noise]
    lines += [
        f"{rhythm.metric}: blocks of {rhythm.block} requests hang together, autocorrelation "
        f"{rhythm.autocorrelation:+.2f} over {rhythm.n} pairs"
        for rhythm in calibration.latency
    ]
    lines += [
        f"{printable(similar.metric)}: an unchanged answer falls below {similar.threshold:.3f} "
        f"at most {similar.alpha:.0%} of the time{'' if similar.metric == LIKENESS else _USE}"
        for similar in calibration.similar
    ]
    if calibration.verdict is Decision.ROLLBACK:
        lines.append("the bench is not stable: every run that uses this calibration holds")
    lines.append(f"the baseline against itself: {calibration.verdict}: {printable(calibration.reason)}")
    return "\n".join((*lines, f"written to {display(calibrated.path)}"))


def _row(noise: Noise) -> str:
    names = f"{printable(noise.stratum):24} {printable(noise.metric):16}"
    return f"{names} {noise.n:6d} {noise.discordance:12.1%} {noise.spread:8.3f}"
