"""Lines of styled text, laid out for a width, drawn with or without styles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from canary.reporters.escape import width

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Span:
    """Text that is already safe to show, in one style of rich's."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Spans on one line; prose breaks between words and hangs by `indent`."""

    spans: tuple[Span, ...] = ()
    indent: int = field(default=0, kw_only=True)
    breaks: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table; `rank` says who goes first when space is short."""

    title: str
    cells: tuple[Span, ...]
    rank: int = 0
    """0 always stays; else the highest rank goes first."""
    leans_left: bool = False

    @property
    def width(self) -> int:
        """Columns of its widest cell."""
        return max(width(self.title), *(width(span.text) for span in self.cells), 0)


GAP = "  "


def line(*spans: Span | str) -> Line:
    """A line that is never broken."""
    return Line(tuple(_spans(spans)))


def prose(*spans: Span | str, indent: int = 0) -> Line:
    """A line that may be broken between words when the width is known."""
    return Line(tuple(_spans(spans)), indent=indent, breaks=True)


def table(columns: Sequence[Column], available: int | None) -> list[Line]:
    """Title and rows; drops columns, then cuts the first, to fit `available`."""
    kept = list(columns)
    while available is not None and _total(kept) > available and any(column.rank for column in kept):
        kept.remove(max(kept, key=lambda column: column.rank))
    first = kept[0].width
    if available is not None:
        first = min(first, max(12, first - _total(kept) + available))
    widths = [first, *(column.width for column in kept[1:])]
    titles = [Span(column.title, "bold") for column in kept]
    rows = zip(*(column.cells for column in kept), strict=True)
    return [_row(row, kept, widths) for row in (titles, *rows)]


def plain(lines: Iterable[Line]) -> str:
    """Text without any style, every line whole."""
    return "".join("".join(span.text for span in of_line.spans).rstrip() + "\n" for of_line in lines)


def styled(lines: Iterable[Line], console: Console) -> str:
    """What `console` would be sent, prose broken to its width."""
    from rich.text import Text  # noqa: PLC0415 - only a terminal needs rich

    with console.capture() as capture:
        for of_line in lines:
            text = Text.assemble(*((span.text, span.style) for span in of_line.spans))
            pieces = list(text.wrap(console, max(20, console.width - of_line.indent))) if of_line.breaks else [text]
            for number, piece in enumerate(pieces):
                piece.rstrip()
                hanging = Text(" " * of_line.indent if number else "")
                console.print(hanging + piece, soft_wrap=not of_line.breaks, highlight=False)
    return capture.get()


def shorten(text: str, columns: int) -> str:
    """`text` in at most `columns` columns, its middle replaced by `…`."""
    if width(text) <= columns:
        return text
    head, tail = (columns - 1 + 1) // 2, (columns - 1) // 2
    while width(text[:head]) + width(text[-tail:]) > columns - 1:
        head, tail = head - (head >= tail), tail - (head < tail)
    return f"{text[:head]}…{text[-tail:] if tail else ''}"


def _spans(spans: Iterable[Span | str]) -> Iterator[Span]:
    for span in spans:
        yield Span(span) if isinstance(span, str) else span


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _row(cells: Sequence[Span], columns: Sequence[Column], widths: Sequence[int]) -> Line:
    spans: list[Span] = []
    for cell, column, columns_wide in zip(cells, columns, widths, strict=True):
        text = shorten(cell.text, columns_wide)
        blank = Span(" " * (columns_wide - width(text)))
        shown = Span(text, cell.style)
        spans += [shown, blank] if column.leans_left else [blank, shown]
        spans.append(Span(GAP))
    return Line(tuple(spans))
