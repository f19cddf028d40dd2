"""Text that others wrote stays text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pytest

from canary.reporters.escape import cell, code, html, show, width

NASTY = [
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    "\x9b2J",
    "a\rb",
    "a\x08b",
    "\u202edcba\u202c",
    "\u2066x\u2069",
    "\u200f\u200e",
    "zero\u200bwidth\u200djoiner\ufeff",
    "\ud800 lone \udfff",
    "line\u2028separator\u2029",
    "\U000e0041\U000e0042 tags",
    "\ufe0f\U000e0100",
    "\u3164\u115f\u2800",
    "\u0000\u007f",
    "\ue000 private",
]


class Endless(str):
    """A text that fails when more than its beginning is read."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        yield from self[:1000]
        raise AssertionError("read to the end")


class TestShow:
    """`show` makes one printable line."""

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain text", "plain text"),
            ("naïve 日本語 ответ שלום", "naïve 日本語 ответ שלום"),
            ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
            ("C:\\new", "C:\\\\new"),
            ("\x1b[31mred", "\\x1b[31mred"),
            ("\u202eabc", "\\u202eabc"),
            ("no\u00a0break", "no\\xa0break"),
            ("\ud800", "\\ud800"),
            ("\U000e0041", "\\U000e0041"),
            ("e\u0301", "e\u0301"),
            ("", ""),
        ],
    )
    def test_shown(self, text: str, shown: str) -> None:
        """What is invisible or acts is written out; what is visible stays."""
        assert shown == show(text)

    @pytest.mark.parametrize("text", NASTY)
    def test_nothing_acts(self, text: str) -> None:
        """No control, format, surrogate, private or separator is left."""
        assert {unicodedata.category(c) for c in show(text)}.isdisjoint({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

    @pytest.mark.parametrize("text", NASTY)
    def test_is_unambiguous(self, text: str) -> None:
        """Different texts are shown differently: the escape itself is escaped."""
        assert show(text) != show(show(text))

    def test_marks_do_not_climb(self) -> None:
        """At most three marks stand on one letter; a first mark has no letter."""
        assert show("a" + "\u0301" * 5) == "a\u0301\u0301\u0301" + "\\u0301" * 2
        assert show("\u0301a") == "\\u0301a"

    def test_cut_is_counted(self) -> None:
        """What is cut is counted in characters of the text."""
        assert show("a" * 100, 28) == "aaaaaaaaaa… (+90 characters)"
        assert show("\x1b" * 1_000_000, 29) == "\\x1b… (+999,999 characters)"

    def test_exact_fit(self) -> None:
        """A text of exactly the limit is whole."""
        assert show("a" * 40, 40) == "a" * 40

    @pytest.mark.parametrize("text", ["a" * 500, "日" * 500, "\x1b" * 500, "a\u0301" * 500])
    @pytest.mark.parametrize("limit", [40, 41, 100])
    def test_limit_holds(self, text: str, limit: int) -> None:
        """The shown text, its count included, fits into the limit."""
        assert limit - 12 < width(show(text, limit)) <= limit

    def test_long_text_is_not_read(self) -> None:
        """The work does not grow with the text: 10 MB are looked at no further than shown."""
        assert show(Endless("\x1b[2J" * 2_500_000), 100).endswith("(+9,999,958 characters)")


class TestWidth:
    """`width` counts columns."""

    @pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0), ("×", 1)])
    def test_columns(self, text: str, columns: int) -> None:
        """Wide letters take two columns and marks none."""
        assert columns == width(text)


class TestMarkdown:
    """`code`, `cell` and `html` make a text inert."""

    @pytest.mark.parametrize(
        ("text", "span"),
        [
            ("a", "`a`"),
            ("", "` `"),
            ("a`b", "``a`b``"),
            ("`", "`` ` ``"),
            ("```x", "```` ```x ````"),
            (" a ", "`  a  `"),
            ("<b>@user #1 http://x.example", "`<b>@user #1 http://x.example`"),
            ("a|b", "`a|b`"),
        ],
    )
    def test_code(self, text: str, span: str) -> None:
        """The fence is longer than any run of backticks inside."""
        assert span == code(text)

    def test_cell(self) -> None:
        """A bar in a table's cell is escaped, after the text's own backslashes."""
        assert cell("a|b") == "`a\\|b`"
        assert cell("a\\|b") == "`a\\\\\\|b`"

    def test_html(self) -> None:
        """No tag, attribute or entity survives."""
        assert html("</script>&amp;\"'\n") == "&lt;/script&gt;&amp;amp;&quot;&#39;\\n"
