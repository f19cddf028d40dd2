"""JSON inside a page."""

from __future__ import annotations

import json

import pytest

from canary.reporters.html.embed import embed

NASTY = [
    "</script><!--",
    "<img src=x onerror=alert(1)>",
    "&lt;",
    "\u202e\u2066",
    "\ud800",
    "\u2028",
    "\U000e0041",
    "\x7f",
]


@pytest.mark.parametrize("text", NASTY)
def test_nothing_ends_or_hides(text: str) -> None:
    """No tag, entity or unseen character is left, and the text reads back the same."""
    written = embed([text, {text: text}])

    assert not {"<", ">", "&"} & set(written)
    assert written.isprintable()
    assert json.loads(written) == [text, {text: text}]


def test_languages_stay_readable() -> None:
    """Letters of any language are not inflated to escapes."""
    assert embed("日本語 שלום naïve") == '"日本語 שלום naïve"'
