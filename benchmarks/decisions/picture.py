"""Ten cells as one picture: what share of runs each rule promotes, holds, rolls back."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from benchmarks.decisions.cell import BETTER, HARM, UNCHANGED
from benchmarks.decisions.rules import RULES
from benchmarks.decisions.table import Rates, Row

RIGHT = {UNCHANGED: "should promote", BETTER: "should promote", HARM: "must not promote"}
_LEFT, _TOP, _WIDTH, _GAP, _BAR, _STEP, _PANEL = 152, 84, 150, 38, 17, 22, 240
_STYLE = """
  .page { fill: #ffffff } text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px } .head { font-weight: 600 } .small { font-size: 11px }
  .axis { stroke: #8c959f; stroke-width: 1 } .ours { font-weight: 700 }
  .promote { fill: #0072b2 } .hold { fill: #c9ced6 } .rollback { fill: #b84e00 }
  .on-promote, .on-rollback { fill: #ffffff; font-size: 11px } .on-hold { fill: #1f2328; font-size: 11px }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 } .axis { stroke: #7d8590 }
    .on-promote, .on-rollback { fill: #ffffff } .on-hold { fill: #1f2328 }
  }"""


def draw(top: dict[str, Row], bottom: dict[str, Row]) -> str:
    """An SVG of two rows of panels by heading that needs nothing else, light or dark."""
    columns = max(len(top), len(bottom))
    width, height = _LEFT + columns * (_WIDTH + _GAP), _TOP + 2 * _PANEL - 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
        'role="img" aria-labelledby="title description">',
        '<title id="title">What six release rules decide in ten situations</title>',
        f'<desc id="description">{escape(_described(top | bottom))}</desc>',
        f"<style>{_STYLE}\n</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        '<text class="title" x="12" y="24">What each rule decides, share of runs in percent</text>',
        *_legend(),
    ]
    for number, rows in enumerate((top, bottom)):
        y = _TOP + number * _PANEL
        parts += _names(y)
        for column, (heading, row) in enumerate(rows.items()):
            parts += _panel(heading, row, _LEFT + column * (_WIDTH + _GAP), y)
    return "\n".join([*parts, "</svg>\n"])


def _described(rows: dict[str, Row]) -> str:
    """The same in words, for those who cannot see it."""
    return " ".join(
        f"{heading}, {row.evidence}, {row.pairs} pairs, promote/hold/rollback: "
        + ", ".join(f"{rule} {rates}" for rule, rates in row.rates.items())
        + "."
        for heading, row in rows.items()
    )


def _legend() -> Iterator[str]:
    for number, name in enumerate(("promote", "hold", "rollback")):
        x = 12 + 90 * number
        yield f'<rect class="{name}" x="{x}" y="36" width="12" height="12"/>'
        yield f'<text x="{x + 17}" y="46">{name}</text>'


def _names(y: int) -> Iterator[str]:
    for number, rule in enumerate(RULES):
        style = "ours" if number == 0 else "other"
        yield f'<text class="{style}" x="{_LEFT - 8}" y="{y + 48 + number * _STEP}" text-anchor="end">{rule}</text>'


def _panel(heading: str, row: Row, x: int, y: int) -> Iterator[str]:
    """Three lines of heading, a bar for each rule, an axis from 0 to 100 %."""
    what = f"{row.pairs} pairs, {100 * (row.discordance or 0):.0f} % differ"
    lines = (("head", heading), ("small", what), ("small", RIGHT[row.kind]))
    for number, (style, text) in enumerate(lines):
        yield f'<text class="{style}" x="{x}" y="{y - 4 + 15 * number}">{escape(text)}</text>'
    for number, rates in enumerate(row.rates.values()):
        yield from _bar(rates, x, y + 35 + number * _STEP)
    base = y + 37 + len(row.rates) * _STEP
    yield f'<path class="axis" fill="none" d="M{x} {base}h{_WIDTH}"/>'
    for share in (0, 50, 100):
        at = x + _WIDTH * share / 100
        label = f"{share} %" if share else "0"
        yield f'<path class="axis" d="M{at:g} {base}v4"/>'
        yield f'<text class="small" x="{at:g}" y="{base + 16}" text-anchor="middle">{label}</text>'


def _bar(rates: Rates, x: int, y: int) -> Iterator[str]:
    left = float(x)
    for name, share in (("promote", rates.promote), ("hold", rates.hold), ("rollback", rates.rollback)):
        width = _WIDTH * share
        if share > 0:
            yield f'<rect class="{name}" x="{left:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}"/>'
        if share >= 0.13:
            yield (
                f'<text class="on-{name}" x="{left + width / 2:.1f}" y="{y + 12.5}" '
                f'text-anchor="middle">{100 * share:.0f}</text>'
            )
        left += width
