"""Lines and tables in the space there is."""

from __future__ import annotations

import pytest

from canary.reporters.escape import width
from canary.reporters.layout import Column, Span, line, plain, shorten, table

COLUMNS = (
    Column(title="signal", cells=(Span("quality/everything/pass"), Span("x")), leans_left=True),
    Column(title="a", cells=(Span("1"), Span("22")), rank=1),
    Column(title="b", cells=(Span("333"), Span("4")), rank=2),
    Column(title="status", cells=(Span("pass"), Span("fail")), leans_left=True),
)


def test_table() -> None:
    """Names lean left, numbers right; trailing blanks are dropped."""
    assert plain(table(COLUMNS, None)) == (
        "signal                    a    b  status\n"
        "quality/everything/pass   1  333  pass\n"
        "x                        22    4  fail\n"
    )


@pytest.mark.parametrize(
    ("available", "title"),
    [(40, "signal a b status"), (39, "signal a status"), (34, "signal status"), (20, "signal status")],
)
def test_columns_go_by_rank(available: int, title: str) -> None:
    """The column of highest rank goes first; then the names are cut."""
    lines = plain(table(COLUMNS, available)).splitlines()

    assert lines[0].split() == title.split()
    assert max(map(width, lines)) <= available


def test_empty_table() -> None:
    """A table without rows has its titles."""
    assert (
        plain(table((Column(title="signal", cells=(), leans_left=True), Column(title="n", cells=())), 80))
        == "signal  n\n"
    )


@pytest.mark.parametrize(
    ("text", "columns", "short"),
    [("abc", 3, "abc"), ("abcdefgh", 5, "ab…gh"), ("abcdefgh", 4, "ab…h"), ("日本語日本語", 7, "日…本語")],
)
def test_shorten(text: str, columns: int, short: str) -> None:
    """The middle goes, so that a stratum and a metric both stay readable."""
    assert shorten(text, columns) == short


def test_trailing_blanks_go() -> None:
    """No line ends with a blank."""
    assert plain([line("a ", Span(" "))]) == "a\n"
