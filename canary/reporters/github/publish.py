"""A sealed run inside GitHub Actions: summary, outputs, annotations, and the comment where a token is given."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from canary.errors import CanaryError
from canary.manifest import digest
from canary.plan import Plan
from canary.records import Evidence, Verdict
from canary.reporters.escape import show
from canary.reporters.github.annotate import find_remarks, in_repository, issue
from canary.reporters.github.comment import Frame, marker, render
from canary.reporters.github.event import Event, in_actions, read_event
from canary.reporters.github.post import Refusal, post
from canary.reporters.markdown import FULL
from canary.reporters.markdown import render as summarise
from canary.reporters.ranking import lost_strata

SUMMARY_BYTES = (1 << 20) - 1024
"""GitHub drops the whole summary of a step above 1 MiB."""


def publish(run: Path, verdict: Verdict, evidence: Evidence, plan: Plan) -> Iterable[str]:
    """What went wrong or where the comment is; silent outside of a workflow.

    Each part fails alone: no trouble of GitHub's reaches the verdict.
    """
    if not in_actions():
        return
    summary = summarise(verdict, evidence, plan)
    parts: tuple[tuple[str, Callable[[], None]], ...] = (
        ("the step's summary", lambda: write_summary(summary)),
        ("the step's outputs", lambda: write_outputs(_outputs(run, verdict))),
        ("annotations", lambda: issue(find_remarks(verdict, evidence, plan), verdict.verdict, sys.stderr)),
    )
    for what, act in parts:
        try:
            act()
        except (OSError, ValueError, CanaryError) as error:
            yield f"GitHub has not got {what}, the verdict stands: {show(str(error))}"
    if os.environ.get("GITHUB_TOKEN"):
        yield comment(marker_of(plan), lambda event: render(verdict, evidence, plan, frame_of(event, run)))


def comment(first_line: str, body: Callable[[Event], str], number: int | None = None) -> str:
    """Put a gate's comment on its pull request; one sentence says what came of it, whatever that is."""
    token = os.environ.get("GITHUB_TOKEN")
    if not token:
        return "no comment: GITHUB_TOKEN is not set"
    try:
        event = read_event()
        if not event.repository or (event.number is None and not event.head and number is None):
            return f"no comment: the event {show(event.name) or 'of this run'} belongs to no pull request"
        if event.is_fork:
            return "no comment: a fork's workflow may not write here; the step's summary has everything"
        return post(event, token, first_line, body(event), number)
    except (Refusal, CanaryError) as error:
        return f"no comment, the verdict stands: {show(str(error))}"
    except Exception as error:  # noqa: BLE001 - a comment is never worth a verdict
        return f"no comment, the verdict stands: {type(error).__name__}: {show(str(error))}"


def marker_of(plan: Plan) -> str:
    """The marker of the gate that a plan is of."""
    return marker("compare" if plan.pipeline is None else in_repository(plan.pipeline), plan.stage)


def frame_of(event: Event, run: Path | None, notes: tuple[str, ...] = ()) -> Frame:
    """What stands around a verdict of this run."""
    record = "" if run is None else _record(run)
    return Frame(sha=event.sha, run_url=event.run_url, record=record, notes=notes)


def write_summary(text: str) -> None:
    """Append to the step's summary, as far as GitHub takes it; nowhere to write is no fault."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    with Path(path).open("ab") as file:
        file.write(_cut(text, SUMMARY_BYTES - file.tell()))


def write_outputs(outputs: dict[str, str]) -> None:
    """Set the step's outputs; nowhere to write is no fault."""
    path = os.environ.get("GITHUB_OUTPUT")
    if not path:
        return
    with Path(path).open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in outputs.items())


def _outputs(run: Path, verdict: Verdict) -> dict[str, str]:
    """Each value is one line: strata are JSON, whatever their names hold."""
    return {
        "verdict": verdict.verdict.value,
        "report-path": show(str(run.resolve()), 4000),
        "run-name": show(run.name),
        "regressed-strata": json.dumps([str(signal.stratum) for signal in lost_strata(verdict)]),
        "record-sha256": _record(run),
    }


def _record(run: Path) -> str:
    return digest((run / "manifest.json").read_bytes())


def _cut(text: str, budget: int) -> bytes:
    """Whole paragraphs of a text, so that no table or fold is torn, and a note where some are missing."""
    data = text.encode()
    if len(data) <= budget:
        return data
    note = f"\n\n{FULL}\n".encode()
    end = data.rfind(b"\n\n", 0, max(0, budget - len(note)))
    return data[:end] + note if end > 0 else b""
