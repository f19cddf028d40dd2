"""The seal of a run: every file by its digest, bound to the run that was sealed before it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from canary import manifest
from canary.disk import locked_folder, write_whole
from canary.errors import EvidenceError
from canary.evidence.directory import EVIDENCE, SIGNATURE, RunDirectory
from canary.manifest import File, Seal


def seal(run: RunDirectory, now: datetime | None = None) -> str:
    """Writes the manifest; the sha256 by which the next record will name it.

    Nothing but a signature may be written into the directory afterwards.
    """
    if run.manifest.exists():
        raise EvidenceError(f"{run.path} is already sealed")
    missing = [name for name in (*EVIDENCE, "verdict.json") if not (run.path / name).is_file()]
    if missing:
        raise EvidenceError(unfinished(run, f"{', '.join(missing)} missing"))
    files = _files(run)
    runs = run.path.resolve().parent
    with locked_folder(runs):  # two sealed at once would both follow the same record
        document = Seal(
            schema=manifest.MANIFEST_SCHEMA,
            files=files,
            previous=manifest.last(_records(runs)),
            sealed_at=f"{(now or datetime.now(UTC)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        ).dumps()
        write_whole(run.manifest, [document])
    return manifest.digest(document)


def check_files(path: Path) -> list[str]:
    """What differs between a run's files and its own seal, one sentence each."""
    run = RunDirectory(path)
    try:
        sealed = read_seal(run)
    except EvidenceError as error:
        return list(error.problems)
    return list(manifest.compare_files(sealed.files, _files(run)))


def check_neighbours(path: Path) -> list[str]:
    """What was changed in the chain of records that a run stands in."""
    return list(manifest.check_chain(_records(path.resolve().parent)))


def removed_neighbours(path: Path) -> list[str]:
    """The older records that are gone from the folder of a run, which speaks not against those left."""
    return list(manifest.removed(_records(path.resolve().parent)))


def read_seal(run: RunDirectory) -> Seal:
    """The manifest; EvidenceError where the run is not finished, or not ours."""
    if not run.path.is_dir():
        raise EvidenceError(f"{run.path} is no directory")
    if not run.manifest.is_file():
        raise EvidenceError(unfinished(run, "it has no manifest.json"))
    sealed = manifest.read(run.manifest.read_bytes())
    if sealed is None:
        raise EvidenceError(f"{run.manifest} is broken, or another version wrote it")
    return sealed


def unfinished(run: RunDirectory, why: str) -> str:
    """Why nothing can be made of a run yet, and how to go on."""
    return f"{run.path} is not finished: {why}; continue with canary run --resume {run.path}, or run again"


def _files(run: RunDirectory) -> dict[str, File]:
    """Every file of the run but the manifest, by its path inside."""
    found = {path.relative_to(run.path): path for path in run.path.rglob("*") if path.is_file()}
    visible = {inside: path for inside, path in found.items() if not any(part.startswith(".") for part in inside.parts)}
    beside = {run.manifest, run.path / SIGNATURE}
    return {inside.as_posix(): hashed(path) for inside, path in visible.items() if path not in beside}


def hashed(path: Path) -> File:
    """What a seal says of a file."""
    with path.open("rb") as file:
        return File(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=file.tell())


def _records(runs: Path) -> Mapping[str, bytes]:
    """The manifests of a folder of runs, by the run's name."""
    return {path.parent.name: path.read_bytes() for path in runs.glob("*/manifest.json")}
