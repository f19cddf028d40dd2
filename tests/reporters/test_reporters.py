"""The table of reporters, and what a broken one may do: nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from canary.errors import ConfigError
from canary.pipeline import Pipeline
from canary.plan import Plan
from canary.records import Decision, Evidence, Verdict
from canary.reporters import FILES, PUBLISHERS, REPORTERS, find_reporter, render_all


def broken(verdict: Verdict, evidence: Evidence, plan: Plan) -> str:
    """A reporter that raises."""
    raise RuntimeError("\x1b[31mno disk\n")


@pytest.mark.parametrize("name", sorted(REPORTERS))
def test_every_entry_reports(
    name: str, make_verdict: Callable[..., Verdict], make_evidence: Callable[..., Evidence], plan: Plan
) -> None:
    """Each line of the table names a reporter that works."""
    assert find_reporter(name)(make_verdict(Decision.HOLD), make_evidence(), plan).endswith("\n")


def test_unknown_name() -> None:
    """A wrong name is answered with the valid ones."""
    with pytest.raises(
        ConfigError, match=r"'reporters' must name one of html, json, junit, markdown, terminal \(got 'pdf'\)"
    ):
        find_reporter("pdf")


def test_tables_agree() -> None:
    """Files belong to reporters, and a pipeline's defaults exist."""
    assert FILES.keys() <= REPORTERS.keys()
    assert set(Pipeline.model_fields["reporters"].default) <= REPORTERS.keys() | PUBLISHERS.keys()


def test_broken_reporter_costs_only_itself(
    make_verdict: Callable[..., Verdict], make_evidence: Callable[..., Evidence], plan: Plan
) -> None:
    """The others report, and one safe sentence tells of the broken one."""
    reporters = [("bad", broken), ("json", find_reporter("json"))]
    reports, problems = render_all(reporters, make_verdict(Decision.HOLD), make_evidence(), plan)

    assert list(reports) == ["json"]
    assert problems == ("reporter 'bad' is broken, the verdict stands: RuntimeError: \\x1b[31mno disk\\n",)


def test_the_table_is_light() -> None:
    """Naming the reporters loads neither rich nor Jinja nor scipy."""
    heavy = ("rich", "jinja2", "scipy", "torch", "ray")
    code = f"import sys, canary.reporters; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
