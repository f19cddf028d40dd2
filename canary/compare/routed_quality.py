"""Recorded scores of routed traffic: pooled, per kind of request or per tenant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from canary.compare.quality import LOOSEST_LAST, blindness
from canary.compare.routed import RoutedArm, Traffic
from canary.compare.table import slug
from canary.compare.traffic import contrast
from canary.contrast import Contrast
from canary.errors import EvidenceError
from canary.plan import Plan
from canary.records import POOLED, Arm, Comparison, Scale, Score

MOST_STRATA = 50
UNNAMED = "unnamed"
"""The stratum of lines that name none, where others do."""


@dataclass(slots=True)
class _Column:
    """One metric's value of every row; NaN where it abstained or is absent."""

    scale: Scale
    values: Mapping[Arm, NDArray[np.float64]]


def quality_contrasts(traffic: Traffic, scores: Sequence[Score], plan: Plan) -> Iterator[Contrast]:
    """Every metric recorded, or named by the policy; nothing where neither is."""
    columns = _columns(traffic, scores, plan)
    strata = {arm: _strata(side, plan) for arm, side in traffic.sides.items()}
    names = sorted({name for of_arm in strata.values() for name in of_arm.tolist()} - {""})
    _require_few(names, plan)
    critical = [name for name in plan.policy.quality.critical.strata if name not in names]
    for metric in sorted(columns.keys() | plan.policy.quality.metrics.keys()):
        for stratum in (POOLED, *names, *critical):
            yield _contrast(traffic, columns.get(metric), metric, stratum, strata)


def traffic_floors(traffic: Traffic, scores: Sequence[Score], plan: Plan) -> Iterator[Comparison]:
    """The candidate alone, for every metric that has a `min_score`."""
    columns = _columns(traffic, scores, plan)
    side = traffic.sides[Arm.CANDIDATE]
    for metric, rule in sorted(plan.policy.quality.metrics.items()):
        if rule.min_score is None:
            continue
        column = columns.get(metric)
        values = np.full(side.times.size, np.nan) if column is None else column.values[Arm.CANDIDATE]
        used = np.isfinite(values)
        lacking = int((~used).sum())
        yield Comparison(
            name=f"floor/{POOLED}/{metric}",
            kind="floor",
            stratum=POOLED,
            metric=metric,
            scale=Scale.BOUNDED if column is None or traffic.sticky else column.scale,
            baseline=np.empty(0),
            candidate=values[used],
            clusters=side.units[used],
            strata=np.zeros(int(used.sum()), dtype=np.int64),
            weights=(1.0,),
            recorded=True,
            missing=(*traffic.missing, *((f"{lacking} candidate responses have no {metric}",) if lacking else ())),
        )


def _columns(traffic: Traffic, scores: Sequence[Score], plan: Plan) -> dict[str, _Column]:
    columns: dict[str, _Column] = {}
    for score in scores:
        column = columns.get(score.metric)
        if column is None:
            empty = {arm: np.full(side.times.size, np.nan) for arm, side in traffic.sides.items()}
            column = columns[score.metric] = _Column(score.scale, empty)
        column.scale = max(column.scale, score.scale, key=LOOSEST_LAST.index)
        row = traffic.sides[score.arm].index.get(score.id)
        if row is not None and score.value is not None:
            column.values[score.arm][row] = score.value
    for metric, rule in plan.policy.quality.metrics.items():
        if rule.scale is not None and metric in columns:
            columns[metric].scale = rule.scale
    return columns


def _strata(side: RoutedArm, plan: Plan) -> NDArray[np.str_]:
    """The stratum of every row, "" everywhere where no line of the arm names one."""
    by = plan.traffic.by if plan.traffic else "stratum"
    names = [getattr(response, by) for response in side.responses]
    nowhere = "" if not any(names) else UNNAMED
    return np.array([name or nowhere for name in names], dtype=np.str_)


def _require_few(names: Sequence[str], plan: Plan) -> None:
    by = plan.traffic.by if plan.traffic else "stratum"
    if len(names) > MOST_STRATA:
        raise EvidenceError(f"'{by}' must name at most {MOST_STRATA} groups to be judged apart (got {len(names)})")
    if POOLED in names:
        raise EvidenceError(f"'{by}' must not be '{POOLED}', which is all groups together")
    slugs: dict[str, str] = {}
    for name in names:
        other = slugs.setdefault(slug(name), name)
        if other != name:
            raise EvidenceError(f"'{by}' must differ in letters and digits (got {other!r} and {name!r})")


def _contrast(
    traffic: Traffic, column: _Column | None, metric: str, stratum: str, strata: Mapping[Arm, NDArray[np.str_]]
) -> Contrast:
    streams, missing = {}, []
    for arm, side in traffic.sides.items():
        chosen = np.ones(side.times.size, dtype=bool) if stratum == POOLED else strata[arm] == stratum
        values = np.full(side.times.size, np.nan) if column is None else column.values[arm]
        rows = np.flatnonzero(chosen & np.isfinite(values))
        lacking = int(chosen.sum()) - rows.size
        if lacking:
            missing.append(f"{lacking} of {int(chosen.sum())} {arm} responses have no {metric}")
        streams[arm] = side.stream(rows, values[rows])
    blind = blindness(streams[Arm.BASELINE].values)
    return contrast(
        traffic,
        f"quality/{slug(stratum)}/{metric}",
        streams,
        scale=Scale.BOUNDED if column is None else column.scale,
        stratum=stratum,
        missing=(*missing, *(blind if stratum == POOLED else ())),
        warnings=() if stratum == POOLED else blind,
    )
