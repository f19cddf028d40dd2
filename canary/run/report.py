"""Pages about runs that are finished; nothing in a run is touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from canary import manifest
from canary.disk import write_whole
from canary.document import display
from canary.errors import ConfigError, EvidenceError
from canary.evidence import RunDirectory
from canary.reporters import FILES
from canary.reporters.document import read
from canary.reporters.html import render
from canary.reporters.html.index import RunEntry, ScoreLine, draw_line, render_index
from canary.reporters.html.versus import Told, render_versus
from canary.run.history import Past, by_question, read_history
from canary.run.verify import load_whole
from canary.stats.control import MINIMUM, chart

INDEX = "index.html"


def write_report(path: Path, out: Path | None) -> Path:
    """Render a run's report again, by default beside its folder; where it is.

    Raises EvidenceError where the run is not what its seal says.
    """
    told = _told(path)
    place = out or path.resolve().with_name(f"{told.name}.html")
    return _write(place, render(told.verdict, told.evidence, told.plan))


def write_comparison(first: Path, second: Path, out: Path | None) -> Path:
    """Two runs on one page, by default beside the second; where it is."""
    sides = _told(first), _told(second)
    place = out or second.resolve().with_name(f"{sides[0].name}-and-{sides[1].name}.html")
    return _write(place, render_versus(*sides))


def write_index(folder: Path, out: Path | None) -> tuple[Path, tuple[str, ...]]:
    """A page over every run of a folder; where it is, and what could not be read."""
    history = read_history(folder)
    place = out or folder / INDEX
    entries = [_entry(run, folder, place) for run in sorted(history.runs, key=_when, reverse=True)]
    lines = [line for runs in by_question(history.runs) for line in _lines(runs)]
    text = render_index(folder.resolve().name, entries, lines, history.problems)
    return _write(place, text), history.problems


def _told(path: Path) -> Told:
    """A sealed run with the verdict it was sealed with."""
    plan, evidence = load_whole(path)
    verdict = RunDirectory(path).verdict
    try:
        return Told(name=path.resolve().name, verdict=read(verdict.read_bytes()), evidence=evidence, plan=plan)
    except ValueError as error:
        raise EvidenceError(f"{display(verdict)}: {error}") from None


def _write(place: Path, text: str) -> Path:
    """Raises ConfigError for a place inside a sealed run: nothing may be added to it."""
    inside = [parent for parent in place.resolve().parents if _is_sealed(parent)]
    if inside:
        raise ConfigError(
            f"'--out' must lie outside of a finished run (got {display(place)}, inside {display(inside[0])})"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    write_whole(place, [text.encode()])
    return place


def _is_sealed(folder: Path) -> bool:
    path = folder / "manifest.json"
    return path.is_file() and manifest.read(path.read_bytes()) is not None


def _when(run: Past) -> tuple[str, str]:
    return run.sealed_at, run.run


def _entry(run: Past, folder: Path, place: Path) -> RunEntry:
    report = folder / run.run / FILES["html"]
    is_near = place.resolve().parent == folder.resolve()
    link = f"{run.run}/{report.name}" if is_near else report.resolve().as_uri()
    return RunEntry(
        run=run.run,
        verdict=run.verdict,
        when=run.sealed_at,
        baseline=run.baseline_name,
        candidate=run.candidate_name,
        reason=run.reason,
        change="" if run.estimate is None else f"{run.estimate:+.3f}",
        report=link if report.is_file() else "",
    )


def _lines(runs: Sequence[Past]) -> Iterator[ScoreLine]:
    """The baseline's own score over the runs that share a question, with limits from those before the last."""
    scores = [(run.run, run.score) for run in runs if run.score is not None]
    if len(scores) < 2:
        return
    past, newest = [score for _, score in scores[:-1]], scores[-1][1]
    found = chart(past, newest)
    words = f"{len(scores)} runs; {MINIMUM} before the newest make limits"
    if found is not None:
        where = "outside" if found.is_outside else "shifted" if found.is_shifted else "inside"
        words = f"{len(scores)} runs; the newest is {where} {found.low:.3f}..{found.high:.3f}"
    first = runs[0]
    yield draw_line(
        f"{first.baseline_name} ({first.baseline[:8]}), {first.metric}",
        scores,
        None if found is None else (found.low, found.high),
        words,
    )
