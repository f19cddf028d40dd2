"""Hostile text in reasons."""

from __future__ import annotations

from canary.assertions.excerpt import excerpt, shorten


def test_short_text_is_shown_whole() -> None:
    """What is short is quoted as Python would."""
    assert excerpt("it's") == '"it\'s"'


def test_long_text_is_cut() -> None:
    """Eighty characters, and a sign that there are more."""
    assert excerpt("a" * 81) == f"'{'a' * 80}'..."
    assert excerpt("a" * 80) == f"'{'a' * 80}'"


def test_nothing_is_left_to_interpret(hostile: str) -> None:
    """No control character, no lone surrogate, no change of direction."""
    shown = excerpt(hostile)
    assert shown.isprintable()
    shown.encode()


def test_values_are_shown_by_their_repr() -> None:
    """Documents too, cut at the same length."""
    assert excerpt({"a": [1]}) == "{'a': [1]}"
    assert len(excerpt(list(range(1000)))) == 83


def test_reasons_are_one_line() -> None:
    """A user's reason is escaped only where it must be."""
    assert shorten("naïve – fine") == "naïve – fine"
    assert shorten("two\nlines") == "two\\nlines"
    assert shorten("a" * 500, 10) == "aaaaaaaaaa..."
