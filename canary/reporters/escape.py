"""Text that others wrote, made safe to show: nothing hides, nothing acts.

Every text that is not ours (outputs, prompts, ids, metric names, error
messages) goes through `show` before it reaches a terminal or a document. What
remains is one line of printable characters in which no character is invisible,
moves the cursor, reorders its neighbours or is no character at all.
"""

from __future__ import annotations

import re
import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}

_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
"""Controls, formats (bidi, zero width), nothing, private, surrogates, spaces."""

_UNSEEN_MARKS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that draw nothing: joiners, fillers, variation selectors."""

_STACKED = 3
"""More marks than this on one letter are no language; they climb over lines."""


def show(text: str, limit: int = 200) -> str:
    """`text` as one printable line of at most `limit` columns.

    What does not fit is counted in characters of `text`: `… (+12 characters)`;
    `limit` must leave room for that. The work done is bounded by `limit`,
    whatever the length of `text`.
    """
    pieces: list[str] = []
    columns = marks = 0
    for position, character in enumerate(text):
        marks = marks + 1 if _is_mark(character) else 0
        piece = _visible(character, drawable=marks <= _STACKED and (marks < 1 or position > 0))
        columns += width(piece)
        if columns > limit:
            return _cut(pieces, len(text), limit)
        pieces.append(piece)
    return "".join(pieces)


def width(text: str) -> int:
    """Columns a shown text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def code(text: str, limit: int = 200) -> str:
    """A Markdown code span: nothing in it is markup, link, mention or HTML."""
    shown = show(text, limit) or " "
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown.strip() and (shown[0] in " `" or shown[-1] in " `") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def cell(text: str, limit: int = 200) -> str:
    """A Markdown code span that stays within its cell of a table."""
    return code(text, limit).replace("|", "\\|")


def html(text: str, limit: int = 200) -> str:
    """`text` as the content of an HTML element, or of a quoted attribute."""
    shown = show(text, limit)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        shown = shown.replace(character, entity)
    return shown


def _cut(pieces: list[str], length: int, limit: int) -> str:
    """As many pieces as leave room for the count of the rest."""
    kept = len(pieces)
    columns = sum(map(width, pieces))
    while True:
        rest = f"… (+{length - kept:,} characters)"
        if not kept or columns + width(rest) <= limit:
            return "".join(pieces[:kept]) + rest
        kept -= 1
        columns -= width(pieces[kept])


def _visible(character: str, *, drawable: bool) -> str:
    if short := _SHORT.get(character):
        return short
    if character == " ":
        return character
    if drawable and unicodedata.category(character) not in _UNSEEN_CATEGORIES and not _UNSEEN_MARKS.match(character):
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in {"Mn", "Me"}


def _columns(character: str) -> int:
    if _is_mark(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
