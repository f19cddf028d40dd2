"""Files into one golden set, or every mistake in them at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from canary.assertions import load_plugins, parse
from canary.assertions.anchor import anchored
from canary.collector import uncollected
from canary.document import display, unreadable
from canary.errors import GoldenSetError, UsageError
from canary.golden.grouping import Groups, group
from canary.golden.lines import CaseRow, Faults, read_rows
from canary.golden.manifest import read_manifest, shares
from canary.golden.part import Part
from canary.golden.sets import GoldenSet, Source
from canary.pipeline import Suite
from canary.records import Prompt

PROMPTS = "prompts.jsonl"


def load_golden_sets(paths: Iterable[Path | str], suite: Suite) -> GoldenSet:
    """Read and check all of them together; GoldenSetError with every problem.

    A path is a folder with `prompts.jsonl`, or such a file. Several sets are
    one: each counts by its number of cases, its strata by its manifest.
    """
    with uncollected():
        problems: list[str] = []
        parts = [part for path in _distinct(paths, problems) if (part := _part(path, problems))]
        _check_asserts(parts, load_plugins(suite.plugins))
        _check_ids(parts)
        groups = group(parts, suite)
        weights = shares(parts, groups, suite)
        problems += [sentence for part in parts for sentence in (*part.faults.sentences(), *part.problems)]
        if problems or groups.problems:
            raise GoldenSetError((*problems, *groups.problems))
        return GoldenSet(
            prompts=tuple(sorted(_prompts(parts, groups), key=lambda prompt: prompt.id)),
            strata=weights,
            warnings=tuple(warning for part in parts for warning in part.warnings) + groups.warnings,
            sources=tuple(_source(part) for part in parts),
            places={row.case.id: f"{part.name}:{row.line}" for part in parts for row in part.rows},
        )


def _distinct(paths: Iterable[Path | str], problems: list[str]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in map(Path, paths):
        file = path / PROMPTS if path.is_dir() else path
        if file.resolve() in seen:
            problems.append(f"{display(file)}: is named twice")
        else:
            seen.add(file.resolve())
            yield file
    if not seen:
        problems.append("no golden set is named")


def _part(file: Path, problems: list[str]) -> Part | None:
    faults = Faults(display(file))
    try:
        rows, sha256 = read_rows(file, faults)
    except OSError as error:
        others = sorted(path.name for path in file.parent.glob("*.jsonl")) if file.name == PROMPTS else []
        hint = f"; name the file itself: {', '.join(others[:5])}" if others else ""
        problems.append(f"{faults.name}: {unreadable(error)}{hint}")
        return None
    part = Part(name=faults.name, rows=rows, sha256=sha256, faults=faults)
    if not rows and not faults.lines:
        part.problems.append(f"{part.name}: holds no case")
    read_manifest(part, file)
    return part


def _check_asserts(parts: Sequence[Part], plugins: Mapping[str, type]) -> None:
    """Parse each distinct spec once."""
    for part in parts:
        known: dict[str, tuple[str, ...]] = {}
        folder = Path(part.name).parent
        for row in part.rows:
            for index, spec in enumerate(row.case.assertions):
                key = f"{index}{spec!r}"
                if key not in known:
                    known[key] = tuple(_spec_problems(anchored(spec, folder), plugins, f"assert[{index}]"))
                for problem in known[key]:
                    part.faults.add(row.line, problem)


def _spec_problems(spec: Mapping[str, Any], plugins: Mapping[str, type], where: str) -> Iterator[str]:
    try:
        parse(spec, plugins, where)
    except UsageError as error:
        yield from error.problems


def _check_ids(parts: Sequence[Part]) -> None:
    first: dict[str, tuple[Part, CaseRow]] = {}
    for part in parts:
        for row in part.rows:
            if row.case.id in first:
                other, earlier = first[row.case.id]
                where = f"{other.name}:{earlier.line}"
                part.faults.add(row.line, f"'id' must be unique, but {row.case.id!r} already stands at {where}")
            else:
                first[row.case.id] = part, row


def _prompts(parts: Sequence[Part], groups: Groups) -> Iterator[Prompt]:
    rows = ((row, Path(part.name).parent) for part in parts for row in part.rows)
    for (row, folder), stratum, cluster in zip(rows, groups.strata, groups.clusters, strict=True):
        yield Prompt(
            id=row.case.id,
            digest=row.digest,
            stratum=stratum,
            cluster=cluster,
            vars=row.case.vars,
            messages=row.messages,
            expected=row.case.expected,
            asserts=tuple(anchored(spec, folder) for spec in row.case.assertions),
            metadata=row.case.metadata,
        )


def _source(part: Part) -> Source:
    manifest = part.manifest
    described = {"licence": manifest.licence, "sensitivity": manifest.sensitivity} if manifest else {}
    name = (manifest and manifest.name) or Path(part.name).parent.name
    return Source(name=name, path=part.name, sha256=part.sha256, cases=len(part.rows), **described)
