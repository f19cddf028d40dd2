"""The history of decisions: who did what, when and why, each entry bound to the one before it.

A file of JSON lines, `.canary/history.jsonl` beside the folder of runs. Only ever appended to, by one writer at a
time; a line that a crash tore is cut off by the next writer. Whoever changes,
removes or reorders an entry breaks the hashes of all later ones. Entries cut
off at the end leave no trace here: keep the last entry's sha256 elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from canary.appended import all_or_nothing, append_whole
from canary.disk import sync_folder
from canary.errors import EvidenceError

LEDGER = Path(".canary", "history.jsonl")
FIRST = "0" * 64
"""What the first entry follows."""
_BEFORE_ALL: dict[str, Any] = {"entry": 0, "sha256": FIRST}


@dataclass(frozen=True, slots=True)
class Read:
    """What a ledger holds, and what speaks against it."""

    entries: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]


def append(runs: Path, what: str, details: dict[str, Any], now: datetime | None = None) -> str:
    """Add an entry to the ledger beside a folder of runs; its sha256, which the next entry will name.

    `who` is the user and host of this process. Raises EvidenceError where the
    ledger's last line is not an entry, OSError where it cannot be written.
    """
    path = _beside(runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path) as file:
        number, previous = _last(path, file)
        entry = {
            "entry": number + 1,
            "at": f"{(now or datetime.now(UTC)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "who": who(),
            "what": what,
            **details,
            "previous": previous,
        }
        sha256 = _digest(entry)
        with all_or_nothing(file):
            append_whole(file, (json.dumps(entry | {"sha256": sha256}) + "\n").encode())
            os.fsync(file)
        sync_folder(path.parent)
    return sha256


def who() -> str:
    """The user and host of this process, as far as they are known."""
    import getpass  # noqa: PLC0415 - only what is written down needs it
    import socket  # noqa: PLC0415

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def read(runs: Path) -> Read:
    """Every entry of the ledger beside a folder of runs, in order; a line that is none is a problem and left out.

    A last line without its end is what a crash leaves, and no problem.
    """
    path = _beside(runs)
    if not path.is_file():
        return Read((), ())
    entries: list[dict[str, Any]] = []
    problems: list[str] = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        entry = _parsed(line + b"\n")
        if entry is None:
            problems.append(f"{path}:{number}: is no entry of a history, or was changed")
        else:
            problems += (f"{path}:{number}: {problem}" for problem in _against(entry, entries))
            entries.append(entry)
    return Read(tuple(entries), tuple(problems))


def _beside(runs: Path) -> Path:
    return runs.resolve().parent / LEDGER


def _against(entry: dict[str, Any], before: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong with an entry after those before it."""
    number, last = entry["entry"], before[-1] if before else _BEFORE_ALL
    if entry["sha256"] != _digest(entry):
        yield f"entry {number} was changed: its sha256 should be {_digest(entry)}, the line says {entry['sha256']}"
    if number == last["entry"] + 1:
        if entry["previous"] != last["sha256"]:
            yield f"entry {number} follows another entry {last['entry']} than the one here, which was replaced"
    elif number > last["entry"] + 1:
        gone = f"entry {number - 1}" if number == last["entry"] + 2 else f"entries {last['entry'] + 1} to {number - 1}"
        yield f"{gone} before entry {number} {'was' if number == last['entry'] + 2 else 'were'} removed or moved"
    else:
        yield f"entry {number} stands after entry {last['entry']}: it was moved or doubled"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    kinds = {"entry": int, "at": str, "who": str, "what": str, "previous": str, "sha256": str}
    if not isinstance(entry, dict) or any(type(entry.get(key)) is not kind for key, kind in kinds.items()):
        return None
    return entry if (json.dumps(entry) + "\n").encode() == line else None


def _digest(entry: dict[str, Any]) -> str:
    """The sha256 of an entry without the field that holds it."""
    kept = {key: value for key, value in entry.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The ledger open for appending, to this process alone."""
    import fcntl  # noqa: PLC0415 - there is none on Windows, where a history can still be read

    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _last(path: Path, file: int) -> tuple[int, str]:
    """Number and sha256 of the last entry, after a torn line was cut off."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.ftruncate(file, len(whole))
    if not whole:
        return 0, FIRST
    entry = _parsed(whole[whole[:-1].rfind(b"\n") + 1 :])
    if entry is None:
        raise EvidenceError(f"{path}: the last line is no entry of a history; nothing is added to it")
    return entry["entry"], entry["sha256"]
