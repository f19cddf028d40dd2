"""At most ten annotations: the verdict, then the cases that flipped, each on its line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from canary.errors import MissingExtra
from canary.plan import Plan
from canary.records import Decision, Evidence, Response, Verdict
from canary.reporters.escape import show
from canary.reporters.flips import Flip, answered, find_flips

MOST = 10
"""GitHub shows no more of one kind from one step."""

_LONGEST_LINE = 1 << 20
_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One remark on a line of a file; as written by us and others, not yet escaped."""

    title: str
    message: str
    file: str
    line: int


def find_remarks(verdict: Verdict, evidence: Evidence, plan: Plan) -> tuple[Annotation, ...]:
    """None for a promoted candidate; else the verdict on the pipeline, and flipped cases on their lines."""
    if verdict.verdict is Decision.PROMOTE:
        return ()
    flips = find_flips(verdict, evidence).lost[: MOST - 1]
    lines = _lines(plan.suite.golden_sets, [flip.prompt.id for flip in flips])
    return (
        *_verdict(verdict, plan),
        *(_flip(flip, *lines[flip.prompt.id]) for flip in flips if flip.prompt.id in lines),
    )


def issue(remarks: Iterable[Annotation], decision: Decision, out: TextIO) -> None:
    """Print them as the commands a runner understands, folded into one group of the log."""
    try:
        from actions_toolkit import core  # noqa: PLC0415 - needs an extra
    except ImportError:
        raise MissingExtra("annotations", "github") from None
    say = core.error if decision is Decision.ROLLBACK else core.warning
    with redirect_stdout(out):
        core.start_group("what the gate found")
        for remark in islice(remarks, MOST):
            say(remark.message, title=remark.title, file=remark.file, start_line=remark.line)
        core.end_group()
    out.flush()


def _verdict(verdict: Verdict, plan: Plan) -> Iterator[Annotation]:
    if plan.pipeline is not None:
        title = f"{verdict.verdict.value}: {show(verdict.candidate.name, 80)}"
        yield Annotation(title=title, message=show(verdict.reason, _TEXT), file=in_repository(plan.pipeline), line=1)


def _flip(flip: Flip, file: str, line: int) -> Annotation:
    arms = (f"{name} answered {show(answered(arm), _TEXT)}" for name, arm in _arms(flip).items())
    return Annotation(
        title=f"{show(flip.metric, 80)} lost: {show(flip.prompt.id, 80)}", message="; ".join(arms), file=file, line=line
    )


def _arms(flip: Flip) -> dict[str, Response]:
    return {"baseline": flip.baseline, "candidate": flip.candidate}


def in_repository(path: str) -> str:
    """A path as the repository has it; unchanged where it lies elsewhere."""
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    absolute = Path(path).resolve()
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else path


def _lines(golden_sets: Iterable[str], ids: Iterable[str]) -> Mapping[str, tuple[str, int]]:
    """File and line of each case, as far as they are found; reads files line by line."""
    wanted, found = set(ids), dict[str, tuple[str, int]]()
    for written in golden_sets:
        file = Path(written) / "prompts.jsonl" if Path(written).is_dir() else Path(written)
        if not wanted - found.keys() or not file.is_file():
            continue
        with file.open("rb") as lines:
            for number, data in enumerate(lines, 1):
                if (id_ := _id(data)) in wanted:
                    found.setdefault(str(id_), (in_repository(str(file)), number))
    return found


def _id(line: bytes) -> object:
    try:
        case = json.loads(line) if len(line) <= _LONGEST_LINE else None
    except (ValueError, RecursionError):
        return None
    id_ = case.get("id") if isinstance(case, dict) else None
    return id_ if isinstance(id_, str) else None
