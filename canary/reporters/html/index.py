"""Every run of a folder on one page, newest first, with their control charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from canary.reporters.html.page import page

_HEADROOM = 0.15
"""Share of a chart's height left free above and below."""

_LEAST = 0.005
"""A chart reaches this far above and below its scores, so that rounding is no mountain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One run of the table."""

    run: str
    verdict: str
    when: str
    baseline: str
    candidate: str
    reason: str
    change: str
    report: str
    """Its report, relative to the index; "" where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run on a chart, in percent of its frame."""

    x: float
    y: float
    label: str
    is_outside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLine:
    """The scores of one baseline over time; a limit is None where there are too few runs."""

    title: str
    points: tuple[Point, ...]
    low: float | None
    high: float | None
    words: str


def render_index(folder: str, entries: Sequence[RunEntry], lines: Sequence[ScoreLine], problems: Sequence[str]) -> str:
    """The page of a folder of runs."""
    counts = {word: sum(entry.verdict == word for entry in entries) for word in ("promote", "hold", "rollback")}
    return page("index.html", folder=folder, entries=entries, lines=lines, problems=problems, counts=counts)


def draw_line(
    title: str, scores: Sequence[tuple[str, float]], limits: tuple[float, float] | None, words: str
) -> ScoreLine:
    """Named scores in their order; one outside the limits is marked."""
    values = [score for _, score in scores] + list(limits or ())
    low, high = min(values) - _LEAST, max(values) + _LEAST
    bottom, height = low - _HEADROOM * (high - low), (high - low) * (1 + 2 * _HEADROOM)

    def place(score: float) -> float:
        return round(100 - 100 * (score - bottom) / height, 2)

    return ScoreLine(
        title=title,
        points=tuple(
            Point(
                x=round(100 * (number + 0.5) / len(scores), 2),
                y=place(score),
                label=f"{name}: {score:.3f}",
                is_outside=limits is not None and not limits[0] <= score <= limits[1],
            )
            for number, (name, score) in enumerate(scores)
        ),
        low=None if limits is None else place(limits[0]),
        high=None if limits is None else place(limits[1]),
        words=words,
    )
