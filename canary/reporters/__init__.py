"""Reports of a verdict; none of them can change it.

To add one: a file with a `Reporter`, a line here, a test file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from pkgutil import resolve_name

from canary.errors import ConfigError
from canary.plan import Plan
from canary.protocols import Publisher, Reporter
from canary.records import Evidence, Verdict
from canary.reporters.escape import show

__all__ = ["FILES", "PUBLISHERS", "REPORTERS", "find_reporter", "publish_all", "render_all"]

REPORTERS = {
    "html": "canary.reporters.html:render",
    "json": "canary.reporters.document:render",
    "junit": "canary.reporters.junit:render",
    "markdown": "canary.reporters.markdown:render",
    "terminal": "canary.reporters.terminal:render",
}
"""Import strings, so that naming a reporter loads nothing."""

FILES = {"json": "verdict.json", "markdown": "summary.md", "html": "report.html", "junit": "junit.xml"}
"""Where a run directory keeps a report; the terminal's is not kept."""

PUBLISHERS = {"github": "canary.reporters.github.publish:publish", "mlflow": "canary.reporters.mlflow:publish"}
"""What takes a sealed run to another system: import strings of `Publisher`s."""


def find_reporter(name: str) -> Reporter:
    """The reporter of that name. Raises ConfigError with the valid names."""
    if name not in REPORTERS:
        raise ConfigError(f"'reporters' must name one of {', '.join(sorted(REPORTERS))} (got {name!r})")
    reporter: Reporter = resolve_name(REPORTERS[name])
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


def publish_all(names: Iterable[str], run: Path, verdict: Verdict, evidence: Evidence, plan: Plan) -> tuple[str, ...]:
    """Take a sealed run to every named system that is one; what each has to say.

    A publisher that raises costs its own publication and nothing else.
    """
    said: list[str] = []
    for name in names:
        if name not in PUBLISHERS:
            continue
        try:
            publisher: Publisher = resolve_name(PUBLISHERS[name])
            said += publisher(run, verdict, evidence, plan)
        except Exception as error:  # noqa: BLE001 - a tracker that is down is never worth a verdict
            said.append(f"{name!r} has not got it, the verdict stands: {type(error).__name__}: {show(str(error))}")
    return tuple(said)
