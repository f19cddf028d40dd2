"""Scores, paired per prompt: one comparison a stratum and metric, and pooled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from canary.compare.beside import unreferred
from canary.compare.judged import left_to_judges, tolerable
from canary.compare.people import People, people_of
from canary.compare.table import Table, absences, slug
from canary.plan import Plan
from canary.policy import QualityRule
from canary.records import PASS, POOLED, Arm, Comparison, Label, Scale, Score

LOOSEST_LAST = (Scale.PASS_FAIL, Scale.BOUNDED, Scale.ORDINAL, Scale.UNBOUNDED)


@dataclass(slots=True, eq=False)
class MetricColumn:
    """One metric of both arms; NaN where there is no score."""

    scale: Scale
    values: dict[Arm, NDArray[np.float64]]
    """Shape (cases * repeat,) per arm."""
    asked: NDArray[np.bool_]
    """Shape (cases,): the cases this metric applies to."""
    abstained: int
    excuse: str
    """Why the first abstention happened."""


def quality_comparisons(
    table: Table, scores: Sequence[Score], plan: Plan, labels: Sequence[Label] = ()
) -> Iterator[Comparison]:
    """Pooled and per stratum, for every metric measured or named by the policy.

    Answers without any score at all are missing evidence of `pass`.
    """
    columns, alone = columns_of(table, scores, plan), unreferred(table, plan)
    named = plan.policy.quality.metrics.keys() | (set() if columns else {"pass"})
    for metric in sorted(columns.keys() | named):
        column, people = columns.get(metric), people_of(table, labels, metric)
        for stratum in _strata(table, plan):
            if column is None:
                yield _unmeasured(table, metric, stratum)
            elif stratum == POOLED or (column.asked & table.selection(stratum)).any() or _is_named(stratum, plan):
                yield _comparison(table, column, metric, stratum, plan, people, alone)


def floor_comparisons(table: Table, scores: Sequence[Score], plan: Plan) -> Iterator[Comparison]:
    """The candidate alone, for every metric that has a `min_score`."""
    columns = columns_of(table, scores, plan)
    for metric, rule in sorted(plan.policy.quality.metrics.items()):
        if rule.min_score is not None:
            column = columns.get(metric)
            alone = _unmeasured(table, metric, POOLED) if column is None else _candidate_alone(table, column, metric)
            yield replace(alone, name=f"floor/{POOLED}/{metric}", kind="floor")


def _strata(table: Table, plan: Plan) -> tuple[str, ...]:
    """Pooled first; a single unnamed stratum is the pool itself."""
    if table.strata_names == ("default",):
        return (POOLED, *plan.policy.quality.critical.strata)
    named = [s for s in plan.policy.quality.critical.strata if s not in table.strata_names]
    return (POOLED, *table.strata_names, *named)


def _is_named(stratum: str, plan: Plan) -> bool:
    return stratum in plan.policy.quality.critical.strata


def columns_of(table: Table, scores: Sequence[Score], plan: Plan) -> dict[str, MetricColumn]:
    """Every metric's values in row order; a scale the policy declares wins."""
    columns: dict[str, MetricColumn] = {}
    for score in scores:
        column = columns.get(score.metric)
        if column is None:
            column = columns[score.metric] = _empty(table, score.scale)
        case = table.index[score.id]
        column.asked[case] = True
        if score.value is None:
            column.abstained += 1
            column.excuse = column.excuse or score.reason
        else:
            column.values[score.arm][case * table.repeat + score.repeat] = score.value
        if score.scale is not column.scale:
            column.scale = max(column.scale, score.scale, key=LOOSEST_LAST.index)
    for metric, rule in plan.policy.quality.metrics.items():
        if rule.scale is not None and metric in columns:
            columns[metric].scale = rule.scale
    if plan.judges and PASS in columns:
        _leave_to_judges(table, columns, plan)
    return columns


def _leave_to_judges(table: Table, columns: dict[str, MetricColumn], plan: Plan) -> None:
    left, column = left_to_judges(table, plan), columns[PASS]
    column.asked &= ~left
    for values in column.values.values():
        values[np.repeat(left, table.repeat)] = np.nan
    if not column.asked.any():
        del columns[PASS]


def _empty(table: Table, scale: Scale) -> MetricColumn:
    rows = len(table.prompts) * table.repeat
    values = {arm: np.full(rows, np.nan) for arm in Arm}
    return MetricColumn(
        scale=scale, values=values, asked=np.zeros(len(table.prompts), dtype=bool), abstained=0, excuse=""
    )


def _comparison(
    table: Table,
    column: MetricColumn,
    metric: str,
    stratum: str,
    plan: Plan,
    people: People | None,
    alone: NDArray[np.bool_],
) -> Comparison:
    """Complete pairs only; whatever is incomplete is said in `missing`."""
    chosen = table.selection(stratum)
    means = {arm: column.values[arm].reshape(-1, table.repeat).mean(axis=1) for arm in Arm}
    complete = np.isfinite(means[Arm.BASELINE]) & np.isfinite(means[Arm.CANDIDATE])
    used = chosen & complete
    blind = blindness(means[Arm.BASELINE][used])
    is_dead = stratum == POOLED or not means[Arm.CANDIDATE][used].any()  # nobody has shown that it can be met
    open_ = (
        tolerable(table, column.asked & chosen, complete, plan, stratum)
        if not people and (metric in plan.judges or not (column.asked & chosen & ~complete & ~alone).any())
        else None
    )
    return Comparison(
        name=f"quality/{slug(stratum)}/{metric}",
        kind="quality",
        stratum=stratum,
        metric=metric,
        scale=column.scale,
        baseline=means[Arm.BASELINE][used],
        candidate=means[Arm.CANDIDATE][used],
        clusters=table.clusters[used],
        strata=table.strata[used],
        weights=_weights(table, column) if stratum == POOLED else (1.0,),
        repeat=table.repeat,
        recorded=table.recorded,
        missing=(
            *absences(table, chosen),
            *(() if open_ is not None else _gaps(table, column, chosen, complete)),
            *(blind if is_dead else ()),
            *_silence(table, used, plan.policy.quality, stratum),
            *(people.missing(chosen) if people else ()),
        ),
        human=people.values[:, used] if people else None,
        unsettled=None if open_ is None else (table.clusters[open_], table.strata[open_]),
        warnings=(*(() if is_dead else blind), *_outage(table, used, plan.policy.quality, stratum)),
    )


def _outage(table: Table, used: NDArray[np.bool_], rule: QualityRule, stratum: str) -> tuple[str, ...]:
    """A baseline that was down scores 0: whatever the candidate says there is no loss."""
    failed, cases = int((used & table.broken(Arm.BASELINE)).sum()), int(used.sum())
    margin = rule.margin(None if stratum == POOLED else stratum)
    if failed <= margin * cases:
        return ()
    hidden = "beyond the margin, and may hide as many losses: where it failed the candidate cannot lose"
    return (f"the baseline's server failed on {failed} of {cases} cases, {hidden}",)


def _silence(table: Table, used: NDArray[np.bool_], rule: QualityRule, stratum: str) -> tuple[str, ...]:
    """Where both servers failed nothing was compared: that they are even there is no evidence."""
    failed = int((used & table.broken(Arm.BASELINE) & table.broken(Arm.CANDIDATE)).sum())
    if failed <= rule.margin(None if stratum == POOLED else stratum) * int(used.sum()):
        return ()
    return (f"both servers failed on {failed} of {int(used.sum())} cases, beyond the margin: nothing is known there",)


def blindness(baseline: NDArray[np.float64]) -> tuple[str, ...]:
    """A metric that the baseline never scores on cannot show a loss, whatever the candidate says."""
    if baseline.size == 0 or baseline.any():
        return ()
    return ("every baseline score is 0, so this metric cannot show a loss: check its assertions",)


def _weights(table: Table, column: MetricColumn) -> tuple[float, ...]:
    """The strata's weights, shared out among those the metric applies to."""
    asked = np.bincount(table.strata[column.asked], minlength=len(table.weights)) > 0
    weights = np.where(asked, table.weights, 0.0)
    return tuple((weights / weights.sum()).tolist()) if weights.sum() > 0 else table.weights


def _candidate_alone(table: Table, column: MetricColumn, metric: str) -> Comparison:
    means = column.values[Arm.CANDIDATE].reshape(-1, table.repeat).mean(axis=1)
    used = np.isfinite(means)
    absent = table.absent(Arm.CANDIDATE)
    abstained = int((column.asked & ~absent & ~used).sum())
    missing = (
        f"{int(absent.sum())} of {absent.size} cases have no candidate response" if absent.any() else "",
        f"{abstained} cases have no score: {column.excuse}" if abstained else "",
    )
    return Comparison(
        name=metric,
        kind="floor",
        stratum=POOLED,
        metric=metric,
        scale=column.scale,
        baseline=np.empty(0),
        candidate=means[used],
        clusters=table.clusters[used],
        strata=table.strata[used],
        weights=table.weights,
        repeat=table.repeat,
        recorded=table.recorded,
        missing=tuple(sentence for sentence in missing if sentence),
    )


def _gaps(
    table: Table, column: MetricColumn, chosen: NDArray[np.bool_], complete: NDArray[np.bool_]
) -> tuple[str, ...]:
    answered = ~(table.absent(Arm.BASELINE) | table.absent(Arm.CANDIDATE))
    gaps = int((chosen & column.asked & answered & ~complete).sum())
    if not gaps:
        return () if (chosen & column.asked).any() else ("no case has a score",)
    why = f": {column.excuse}" if column.excuse else ""
    return (f"{gaps} of {int((chosen & column.asked).sum())} cases have no score in one arm or both{why}",)


def _unmeasured(table: Table, metric: str, stratum: str) -> Comparison:
    nothing = np.empty(0)
    none = np.empty(0, dtype=np.int64)
    return Comparison(
        name=f"quality/{slug(stratum)}/{metric}",
        kind="quality",
        stratum=stratum,
        metric=metric,
        scale=Scale.BOUNDED,
        baseline=nothing,
        candidate=nothing,
        clusters=none,
        strata=none,
        weights=(1.0,),
        recorded=table.recorded,
        missing=(f"metric {metric!r} is asked for, but no response carries it",),
    )
