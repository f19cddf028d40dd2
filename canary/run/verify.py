"""Is a run what it wrote, and is it what others remember of it?."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from canary import ledger, signature
from canary.document import display
from canary.errors import EvidenceError
from canary.evidence import (
    SIGNATURE,
    RunDirectory,
    check_files,
    check_neighbours,
    load_run,
    read_seal,
    removed_neighbours,
)
from canary.manifest import digest
from canary.plan import Plan
from canary.records import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found, in sentences."""

    files: tuple[str, ...]
    """What differs in the run's own files."""
    signature: tuple[str, ...]
    """Why it is not signed with the key given."""
    around: tuple[str, ...]
    """What was changed in the records and the history it stands among."""
    gone: tuple[str, ...]
    """Older records that are no longer there, which speaks not against this one."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that speaks against the record."""
        return (*self.files, *self.signature, *self.around)


def verify_run(path: Path, *, public_key: Path | None = None) -> Verified:
    """Check a run's files, its signature where a key is given, its chain and its history."""
    key = None if public_key is None else signature.load_public_key(public_key)
    files = check_files(path)
    manifest = RunDirectory(path).manifest
    if not manifest.is_file():
        return Verified(files=tuple(files), signature=(), around=(), gone=())
    seal = digest(manifest.read_bytes())
    return Verified(
        files=tuple(files),
        signature=tuple(_signed(path, seal, key)),
        around=(*check_neighbours(path), *_remembered(path, seal)),
        gone=tuple(removed_neighbours(path)),
    )


def load_whole(path: Path) -> tuple[Plan, Evidence]:
    """A finished run; EvidenceError where any of its files, not the evidence alone, is not what its seal says."""
    read_seal(RunDirectory(path))
    problems = check_files(path)
    if problems:
        raise EvidenceError([f"{display(path)}: {problem}" for problem in problems])
    return load_run(path)


def _signed(path: Path, seal: str, key: object) -> Iterator[str]:
    file = path / SIGNATURE
    if key is None:
        return
    if not file.is_file():
        yield f"{SIGNATURE} is missing: the run is not signed"
    else:
        yield from signature.check(file.read_bytes(), seal, key)


def _remembered(path: Path, seal: str) -> Iterator[str]:
    """What the history beside the run says against it."""
    history = ledger.read(path.resolve().parent)
    yield from history.problems
    entries = [entry for entry in history.entries if entry["what"] == "verdict"]
    if any(entry.get("record") == seal for entry in entries):
        return
    for entry in entries:
        if entry.get("run") == path.resolve().name:
            yield (
                f"manifest.json is not the one of which the history was told: entry {entry['entry']} has "
                f"sha256 {entry.get('record')}, found {seal}"
            )
