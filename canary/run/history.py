"""Past runs of one baseline on one golden set, as a control chart.

What the baseline scores of itself should stay where it was: it is the same
release and the same questions. Where it moves, the bench or the service behind
it did, and no comparison with it means what it meant before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from canary import ledger, manifest
from canary.document import display
from canary.errors import UsageError
from canary.located import printable
from canary.records import PASS, POOLED, VERDICT_SCHEMA, Tier
from canary.stats.control import MINIMUM, Chart, chart

_POOLED_QUALITY = f"quality/{POOLED}/"
FILES = ("verdict.json", "plan.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One sealed run."""

    run: str
    verdict: str
    sealed_at: str
    """When it was, in UTC; empty where the record does not say."""
    reason: str
    baseline_name: str
    baseline: str
    candidate_name: str
    golden: str
    metric: str
    """Of the pooled quality; empty where the run has none."""
    score: float | None
    """The baseline's own, pooled."""
    estimate: float | None
    """Candidate minus baseline, pooled."""

    @property
    def question(self) -> tuple[str, str, str]:
        """Runs that share it belong on one chart."""
        return self.baseline, self.golden, self.metric


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Every run of a folder, oldest first, and what could not be read."""

    runs: tuple[Past, ...]
    moves: tuple[dict[str, Any], ...]
    """Promotions and rollbacks of registered names, as `canary.ledger` has them."""
    problems: tuple[str, ...]


def read_history(folder: Path) -> History:
    """Sealed runs by name, which begins with the time they started.

    A run that is not finished is left out; one that is not what it was sealed
    as is left out and named.
    """
    if not folder.is_dir():
        raise UsageError(f"{display(folder)} is no folder of runs (got nothing to read)")
    runs: list[Past] = []
    problems: list[str] = []
    for path in sorted(path.parent for path in folder.glob("*/manifest.json")):
        try:
            runs += _past(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(f"{display(path)} is left out: {error if str(error) else type(error).__name__}")
    remembered = ledger.read(folder)
    moves = tuple(entry for entry in remembered.entries if {"name", "before", "after"} <= entry.keys())
    return History(runs=tuple(runs), moves=moves, problems=(*problems, *remembered.problems))


def _past(path: Path) -> Iterator[Past]:
    """The run, unless it is a calibration or a replay; ValueError where the verdict is not the sealed one."""
    sealed = manifest.read((path / "manifest.json").read_bytes())
    documents = {name: (path / name).read_bytes() for name in FILES}
    for name, data in documents.items():
        if sealed is None or name not in sealed.files or sealed.files[name].sha256 != hashlib.sha256(data).hexdigest():
            raise ValueError(f"{name} is not what the manifest says (canary verify {display(path)})")
    verdict = json.loads(documents["verdict.json"])
    if verdict["schema"] != VERDICT_SCHEMA:
        raise ValueError(f"another version wrote its verdict ({verdict['schema']})")
    plan = json.loads(documents["plan.json"])
    if plan.get("purpose", "gate") != "gate":
        return
    pooled = _pooled(verdict["signals"])
    if (verdict.get("looks") or {}).get("stopped_at"):  # its numbers are of other cases than a whole run's
        pooled = {"metric": pooled.get("metric", "")}
    yield Past(
        run=path.name,
        verdict=verdict["verdict"],
        sealed_at=(sealed and sealed.sealed_at) or "",
        reason=verdict["reason"],
        candidate_name=verdict["candidate"]["name"],
        baseline_name=verdict["baseline"]["name"],
        baseline=verdict["baseline"]["digest"],
        golden=plan["golden_sha256"],
        metric=pooled.get("metric", ""),
        score=pooled.get("baseline"),
        estimate=pooled.get("estimate"),
    )


def _pooled(signals: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`pass` over all strata, else the first pooled metric that decides."""
    pooled = [s for s in signals if s["name"].startswith(_POOLED_QUALITY) and s["tier"] == Tier.BLOCKING]
    return next((s for s in pooled if s["metric"] == PASS), pooled[0] if pooled else {})


def by_question(runs: Iterable[Past]) -> tuple[tuple[Past, ...], ...]:
    """The runs that belong on one chart together, in their order."""
    groups: dict[tuple[str, str, str], list[Past]] = {}
    for run in runs:
        groups.setdefault(run.question, []).append(run)
    return tuple(map(tuple, groups.values()))


def render_history(history: History) -> str:
    """A table for each baseline and golden set, each run against those before it."""
    tables = ["\n".join(_table(runs)) for runs in by_question(history.runs)] or ["no finished run"]
    return "\n\n".join([*tables, *(["\n".join(map(_move, history.moves))] if history.moves else [])])


def _move(entry: dict[str, Any]) -> str:
    """Who made which version champion, when and why."""
    name, before, after, why = (printable(str(entry[key])) for key in ("name", "before", "after", "why"))
    against = f", against: {printable('; '.join(map(str, entry['overridden'])))}" if entry.get("overridden") else ""
    return f"{entry['at']}  {entry['what']:8}  {name} {before} -> {after}  {printable(entry['who'])}: {why}{against}"


def _table(runs: Sequence[Past]) -> Iterator[str]:
    first = runs[0]
    name, metric = printable(first.baseline_name), printable(first.metric) or "no score"
    yield f"{name} ({first.baseline[:8]}) on golden set {first.golden[:8]}, {metric}"
    width = max(len(run.run) for run in runs)
    yield f"{'run':{width}}  {'verdict':8}  {'baseline':>8}  {'change':>7}"
    scores: list[float] = []
    estimates: list[float] = []
    for run in runs:
        flags = [*_flags("baseline", scores, run.score), *_flags("change", estimates, run.estimate)]
        values = f"{_shown(run.score)}  {_signed(run.estimate)}  {'; '.join(flags)}"
        yield f"{printable(run.run):{width}}  {run.verdict:8}  {values}".rstrip()
        scores += _known(run.score)
        estimates += _known(run.estimate)
    yield _limits(scores)


def _flags(name: str, past: Sequence[float], newest: float | None) -> Iterator[str]:
    """Where a value stands against those before it."""
    found = None if newest is None else _chart(past, newest)
    if found is not None and found.is_outside:
        yield f"{name} outside {found.low:.3f}..{found.high:.3f}"
    if found is not None and found.is_shifted:
        yield f"{name} shifted: eight on one side of {found.center:.3f}"


def _chart(past: Sequence[float], newest: float) -> Chart | None:
    return chart(past, newest) if len(past) >= MINIMUM else None


def _limits(scores: Sequence[float]) -> str:
    found = _chart(scores, scores[-1]) if scores else None
    if found is None:
        runs = "1 run has" if len(scores) == 1 else f"{len(scores)} runs have"
        return f"{runs} a score; from {MINIMUM} on each is held against those before it"
    return f"the next baseline score belongs in {found.low:.3f}..{found.high:.3f}"


def _known(value: float | None) -> Iterable[float]:
    return () if value is None else (value,)


def _shown(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:8.3f}"


def _signed(value: float | None) -> str:
    return f"{'-':>7}" if value is None else f"{value:+7.3f}"
