"""Templates into pages: every text escaped, every request forbidden."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from canary.reporters.escape import show

TEMPLATES = Path(__file__).parent / "templates"

_PROSE = 2000


def page(template: str, **context: Any) -> str:
    """One self-contained page.

    Its policy lets the page's own style and script run, known by their
    digests, and nothing be fetched: not even a text that escaped us could.
    """
    return _environment().get_template(template).render(context) + "\n"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _asset("page.css"), _asset("cases.js")
    environment.filters |= {"shown": _shown, "link": _link}
    environment.globals |= {
        "style": Markup(style),  # noqa: S704 - our own file
        "script": Markup(script),  # noqa: S704 - our own file
        "content_policy": (
            f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        ),
    }
    return environment


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _shown(text: object, limit: int = _PROSE) -> str:
    """A text by others as one visible line; the template escapes what it means to HTML."""
    return show(str(text), limit)


def _link(text: str) -> str:
    """The address of a runbook that is one, else nothing: other schemes could act."""
    return text if re.fullmatch(r"https?://[!-~]{1,2000}", text) else ""
