"""Verdict out: to the terminal, to a pipe, to a folder."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TextIO

from canary.evidence import create_run, seal, write_records
from canary.reporters import FILES, find_reporter, render_all
from canary.reporters.terminal import for_stream
from canary.run.recorded import Judged


def show(judged: Judged, out: TextIO, err: TextIO, *, as_json: bool) -> None:
    """Print the report, or the verdict.json document and nothing else."""
    chosen = ("json", find_reporter("json")) if as_json else ("terminal", for_stream(out))
    reports, broken = render_all([chosen], judged.verdict, judged.evidence, judged.plan)
    for report in reports.values():
        print(report, file=out, end="" if report.endswith("\n") else "\n")
    for sentence in broken:
        print(f"canary: {sentence}", file=err)
    if broken and not as_json:
        print(f"{judged.verdict.verdict}: {judged.verdict.reason}", file=out)


def write_reports(judged: Judged, folder: Path, names: Collection[str] = tuple(FILES)) -> tuple[str, ...]:
    """Write the named reports that have a file; returns what went wrong, in sentences.

    The json report is the record of the verdict, so it is written in any case.
    """
    reporters = [(name, find_reporter(name)) for name in FILES if name in {"json", *names}]
    reports, broken = render_all(reporters, judged.verdict, judged.evidence, judged.plan)
    for name, report in reports.items():
        (folder / FILES[name]).write_text(report, encoding="utf-8")
    return broken


def keep(judged: Judged, path: Path) -> str:
    """Write a finished, sealed run directory at `path`; the sha256 of its manifest.

    Raises EvidenceError where something is there already.
    """
    run = create_run(path, judged.plan, judged.evidence.prompts)
    write_records(run.responses, judged.evidence.responses)
    write_records(run.scores, judged.evidence.scores)
    if judged.evidence.telemetry:
        write_records(run.telemetry, judged.evidence.telemetry)
    if judged.judgements is not None:
        judged.judgements.write_to(run.judgements)
    if judged.evidence.labels:
        write_records(run.labels, judged.evidence.labels)
    if judged.evidence.observations:
        write_records(run.observations, judged.evidence.observations)
    write_reports(judged, run.path)
    return seal(run)
