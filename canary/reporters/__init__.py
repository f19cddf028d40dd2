"""Reports of a verdict; none of them can change it.

To add one: a file with a `Reporter`, a line here, a test file.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from canary.errors import ConfigError
from canary.plan import Plan
from canary.protocols import Reporter
from canary.records import Evidence, Verdict
from canary.reporters.escape import show

__all__ = ["FILES", "REPORTERS", "find_reporter", "render_all"]

REPORTERS = {
    "json": "canary.reporters.document:render",
    "markdown": "canary.reporters.markdown:render",
    "terminal": "canary.reporters.terminal:render",
}
"""Import strings, so that naming a reporter loads nothing."""

FILES = {"json": "verdict.json", "markdown": "summary.md"}
"""Where a run directory keeps a report; the terminal's is not kept."""


def find_reporter(name: str) -> Reporter:
    """The reporter of that name. Raises ConfigError with the valid names."""
    if name not in REPORTERS:
        raise ConfigError(f"'reporters' must name one of {', '.join(sorted(REPORTERS))} (got {name!r})")
    module, _, function = REPORTERS[name].partition(":")
    reporter: Reporter = getattr(importlib.import_module(module), function)
    return reporter


def render_all(
    reporters: Iterable[tuple[str, Reporter]], verdict: Verdict, evidence: Evidence, plan: Plan
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Each report by its reporter's name, and one sentence per broken reporter.

    A reporter that raises costs its own report and nothing else.
    """
    reports: dict[str, str] = {}
    broken: list[str] = []
    for name, reporter in reporters:
        try:
            reports[name] = reporter(verdict, evidence, plan)
        except Exception as error:  # noqa: BLE001 - a report is never worth a verdict
            broken.append(
                f"reporter {name!r} is broken, the verdict stands: {type(error).__name__}: {show(str(error))}"
            )
    return reports, tuple(broken)
