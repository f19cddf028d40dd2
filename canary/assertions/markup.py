"""`is-html` and `contains-html`: by tags and balance, not by a browser's mercy."""

from __future__ import annotations

from typing import ClassVar

from canary.assertions.excerpt import excerpt
from canary.assertions.lift import Lifted, Metric, yes_or_no
from canary.assertions.pattern import search, spans
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale

_TAG = r"[a-zA-Z][a-zA-Z0-9-]*"
_TOKEN = (
    r"(?is)<!--.*?-->|<!doctype\s+html[^>]*>|<(script|style|textarea)\b[^>]*>.*?</\1\s*>"
    rf"|(?P<close></{_TAG}\s*>)|(?P<open><{_TAG}(?:\s[^<>]*)?/?>)|(?P<text>[^<]+|<)"
)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_CLOSED_BY_OTHERS = frozenset({"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option"})
_KNOWN = (
    r"(?i)<(?:html|head|body|div|span|p|a|img|h[1-6]|ul|ol|li|dl|dt|dd|table|tr|td|th|thead|tbody|form|input|button"
    r"|select|option|label|script|style|link|meta|br|hr|pre|code|em|strong|b|i|u|small|sub|sup|blockquote|section"
    r"|article|nav|header|footer|main|aside|figure|figcaption|svg|video|audio|canvas|iframe|textarea|title)\b"
)
INDICATORS: dict[str, tuple[str, int]] = {
    "a common tag": (_KNOWN, 2),
    "a doctype": (r"(?i)<!doctype\s+html", 2),
    "an opening tag": (rf"<{_TAG}(?:\s[^<>]*)?>", 1),
    "a closing tag": (rf"</{_TAG}\s*>", 1),
    "a self-closing tag": (rf"<{_TAG}(?:\s[^<>]*)?/>", 1),
    "an entity": (r"&(?:[a-zA-Z]{1,31}|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});", 1),
    "a comment": (r"(?s)<!--.*?-->", 1),
    "an attribute": (r"\s[a-zA-Z-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*')", 1),
}
"""What hints at HTML, and how strongly; 2 together are enough."""


class ContainsHtml(Lifted):
    """Passes iff at least two signs of HTML are in the output."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "contains-html"

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - the answer alone
        """Add the signs up until they suffice."""
        found: list[str] = []
        strength = 0
        for name, (pattern, weight) in INDICATORS.items():
            if search(pattern, response.output) is not None:
                found, strength = [*found, name], strength + weight
            if strength >= 2:
                return yes_or_no(f"contains HTML: {' and '.join(found)}", passed=True)
        said = f"has only {found[0]}" if found else "has no sign of HTML"
        return yes_or_no(f"{said} (got {excerpt(response.output)})", passed=False)


class IsHtml(Lifted):
    """Passes iff the whole output is HTML: every tag closed, no text outside tags."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "is-html"

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - the answer alone
        """Follow the tags from the first to the last."""
        problem = html_problem(response.output)
        return yes_or_no(f"{problem or 'is HTML'} (got {excerpt(response.output)})", passed=problem is None)


def html_problem(text: str) -> str | None:
    """Why the whole text is no HTML; TimeoutError where finding out takes too long."""
    if search(_KNOWN, text) is None:
        return "has no HTML tag"
    open_: list[str] = []
    for found in spans(_TOKEN, text):
        problem = _step(open_, found)
        if problem:
            return problem
    left = [name for name in open_ if name not in _CLOSED_BY_OTHERS]
    return f"never closes <{left[-1]}>" if left else None


def _step(open_: list[str], found: dict[str, str | None]) -> str | None:
    """Take one tag or text in; what is wrong with it."""
    if found["text"] is not None:
        return None if open_ or not found["text"].strip() else f"has text outside of tags: {excerpt(found['text'])}"
    if found["open"] is not None:
        name = _name(found["open"])
        if name not in _VOID and not found["open"].endswith("/>"):
            open_.append(name)
    elif found["close"] is not None:
        return _close(open_, _name(found["close"]))
    return None


def _close(open_: list[str], name: str) -> str | None:
    while open_ and open_[-1] != name and open_[-1] in _CLOSED_BY_OTHERS:
        open_.pop()
    if not open_ or open_.pop() != name:
        return f"closes <{name}>, which is not open"
    return None


def _name(tag: str) -> str:
    return tag.strip("</>").split(None, 1)[0].lower()
