"""Stratum and cluster of every case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from canary.compare.table import slug
from canary.golden.lines import CaseRow
from canary.golden.part import Part
from canary.pipeline import Suite
from canary.records import POOLED
from canary.validation import shown

DEFAULT = "default"
"""The stratum of all cases where none of them names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """One label per case, in the order of parts and rows."""

    strata: list[str]
    clusters: list[str]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def group(parts: Sequence[Part], suite: Suite) -> Groups:
    """Labels as the suite asks for; mistakes that have a line go to their part."""
    strata = _strata(parts, suite.strata.by)
    rows = [row for part in parts for row in part.rows]
    clusters = _clusters(parts, suite.cluster)
    twins = _identical(rows)
    return Groups(
        strata=strata,
        clusters=_united(clusters, twins),
        problems=tuple(_collisions(strata)),
        warnings=_twin_warning(rows, twins),
    )


def _strata(parts: Sequence[Part], path: str) -> list[str]:
    found = [(part, row, _at(row, path)) for part in parts for row in part.rows]
    if all(value is None for _, _, value in found):
        return [DEFAULT] * len(found)
    checked: dict[Any, str] = {}
    for part, row, value in found:
        key = value if isinstance(value, str) else repr(value)
        if key not in checked:
            checked[key] = _stratum_problem(value)
        if checked[key]:
            part.faults.add(row.line, f"'{path}' {checked[key]}")
    return [str(value) for _, _, value in found]


def _stratum_problem(value: Any) -> str:
    if value is None:
        return "is required, because other cases have one: give all of them one, or none"
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        return f"must be the name of a stratum (got {shown(value)})"
    if value == POOLED:
        return f"must not be {POOLED!r}, which stands for all strata together"
    return ""


def _clusters(parts: Sequence[Part], path: str) -> list[str]:
    labels = []
    for part in parts:
        for row in part.rows:
            value = _at(row, path)
            if isinstance(value, (bool, float, list, dict)) or value == "":
                part.faults.add(row.line, f"'{path}' must be text or a whole number (got {shown(value)})")
            labels.append(row.case.id if value is None else str(value))
    return labels


def _at(row: CaseRow, path: str) -> Any:
    """What a case holds at `metadata.x.y` or `vars.x.y`; None where nothing."""
    top, *keys = path.split(".")
    value: Any = row.case.metadata if top == "metadata" else row.case.vars
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _collisions(strata: Sequence[str]) -> list[str]:
    names: dict[str, list[str]] = {}
    for stratum in sorted(set(strata)):
        names.setdefault(slug(stratum), []).append(stratum)
    return [
        f"strata {' and '.join(map(repr, same))} are all {name!r} in the names of signals: rename them"
        for name, same in names.items()
        if len(same) > 1
    ]


def _identical(rows: Sequence[CaseRow]) -> list[list[int]]:
    """Positions of cases that ask the very same, two or more together."""
    same: dict[bytes, list[int]] = {}
    for position, row in enumerate(rows):
        if row.question:
            same.setdefault(row.question, []).append(position)
    return [positions for positions in same.values() if len(positions) > 1]


def _united(labels: list[str], twins: Sequence[Sequence[int]]) -> list[str]:
    """Clusters that share an identical case are one, named by its first label."""
    parent: dict[str, str] = {}

    def root(label: str) -> str:
        while label in parent:
            label = parent[label]
        return label

    for positions in twins:
        roots = sorted({root(labels[position]) for position in positions})
        parent |= dict.fromkeys(roots[1:], roots[0])
    return [root(label) for label in labels] if twins else labels


def _twin_warning(rows: Sequence[CaseRow], twins: Sequence[Sequence[int]]) -> tuple[str, ...]:
    if not twins:
        return ()
    cases = sum(map(len, twins))
    first, second = min(sorted(rows[position].case.id for position in positions)[:2] for positions in twins)
    asked = f"{cases:,} cases ask what another case asks ({first!r} and {second!r}, say)"
    return (f"{asked}: they are not independent evidence, so identical cases count as one cluster",)
