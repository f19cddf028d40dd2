"""The files of one run: where each is, how they are begun and written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from canary.codec import AnyRecord, Record, decode, encode
from canary.disk import write_whole
from canary.errors import EvidenceError
from canary.plan import Plan
from canary.records import Prompt

EVIDENCE = ("plan.json", "prompts.jsonl", "responses.jsonl", "scores.jsonl")
TELEMETRY = "telemetry.jsonl"
LABELS = "labels.jsonl"
OBSERVATIONS = "observations.jsonl"
SIGNATURE = "signature.json"
"""Made over the seal, so it is the one visible file that is not sealed."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    @property
    def plan(self) -> Path:
        """The resolved plan."""
        return self.path / "plan.json"

    @property
    def prompts(self) -> Path:
        """The cases asked."""
        return self.path / "prompts.jsonl"

    @property
    def responses(self) -> Path:
        """Both arms' answers: the journal, readable as recorded outputs."""
        return self.path / "responses.jsonl"

    @property
    def scores(self) -> Path:
        """Every metric of every response."""
        return self.path / "scores.jsonl"

    @property
    def telemetry(self) -> Path:
        """What was measured beside the answers; absent where nothing was."""
        return self.path / TELEMETRY

    @property
    def judgements(self) -> Path:
        """What a judge said; absent where none was asked."""
        return self.path / "judgements.jsonl"

    @property
    def labels(self) -> Path:
        """What people said of the answers; absent where nobody was asked."""
        return self.path / LABELS

    @property
    def observations(self) -> Path:
        """What the servers said of themselves; absent where none did."""
        return self.path / OBSERVATIONS

    @property
    def verdict(self) -> Path:
        """The verdict document."""
        return self.path / "verdict.json"

    @property
    def summary(self) -> Path:
        """The verdict in words."""
        return self.path / "summary.md"

    @property
    def manifest(self) -> Path:
        """The seal."""
        return self.path / "manifest.json"

    def write_plan(self, plan: Plan) -> None:
        """Writes the plan that is obeyed."""
        document = plan.model_dump(mode="json", by_alias=True)
        self.write("plan.json", json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def write(self, name: str, text: str) -> None:
        """Writes one file at once; a reader sees all of it or nothing.

        Lone surrogates are written as their escape, which JSON reads back.
        """
        write_whole(self.path / name, [text.encode(errors="backslashreplace")])


def run_id(plan: Plan, now: datetime) -> str:
    """The name of a run: its start in UTC and the plan's short digest."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{plan.digest()[:8]}"


def new_run(runs: Path, plan: Plan, prompts: Iterable[Prompt], now: datetime | None = None) -> RunDirectory:
    """A new directory under `runs`, named by time and plan."""
    _make_folder(runs)
    name = run_id(plan, now or datetime.now(UTC))
    path, count = runs / name, 1
    while not _made(path):
        count += 1
        path = runs / f"{name}-{count}"
    return create_run(path, plan, prompts)


def create_run(path: Path, plan: Plan, prompts: Iterable[Prompt]) -> RunDirectory:
    """The directory at `path` with its plan and prompts.

    Raises EvidenceError where something is there already.
    """
    _make_folder(path)
    if any(path.iterdir()):
        raise EvidenceError(
            f"{path} is not empty; choose another directory, or continue it with canary run --resume {path}"
        )
    run = RunDirectory(path)
    write_records(run.prompts, prompts)
    write_records(run.responses, ())
    run.write_plan(plan)  # last: it says that the rest is there
    return run


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise EvidenceError(f"{path} must be a folder, there already or not (got a file, or a place in one)") from None


def _made(path: Path) -> bool:
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def write_records(path: Path, records: Iterable[AnyRecord]) -> None:
    """Writes a whole file of records at once."""
    write_whole(path, map(encode, records))


def read_records(kind: type[Record], path: Path) -> tuple[Record, ...]:
    """Every record of a file; EvidenceError names the file and line."""
    with path.open("rb") as file:
        return tuple(record for chunk in decode(kind, file, str(path)) for record in chunk)
