"""The journal of a run: both arms' answers to a pair, in one write.

In a spool the answers of one arm wait for the other's.

What was appended survives `kill -9` of this process, as the operating system
holds it; what was synced survives a power cut. Only the last write can be
torn, so whatever else is wrong in the file did not come from a crash.
"""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from canary.codec import decode, encode, some
from canary.disk import sync_folder
from canary.errors import EvidenceError
from canary.records import Arm, Response

Key = tuple[str, int]
"""A pair: case id and repeat."""

SYNC_PAIRS = 256
SYNC_SECONDS = 5.0
BLOCK = 1 << 16


@dataclass(slots=True)
class Journal:
    """The open `responses.jsonl` of a run; one writer at a time.

    Use `with Journal.open(path) as journal`.
    """

    path: Path
    completed: set[Key]
    """Pairs whose answers are in the file: not to be asked again."""
    warnings: tuple[str, ...]
    """What recovery dropped."""
    _file: _Appended
    _lock: int

    @classmethod
    def open(cls, path: Path) -> Self:
        """Takes the lock, recovers what a crash left, and opens for appending.

        Raises EvidenceError when another process writes this run, or when the
        file is broken in a way no crash explains.
        """
        lock = _lock(path)
        try:
            completed, warnings = _recover(path)
            file = _Appended.open(path)
        except BaseException:
            _unlock(path, lock)
            raise
        return cls(path, completed, warnings, file, lock)

    def append(self, baseline: Response | None, candidate: Response | None) -> None:
        """Writes both answers at once; None is "nothing recorded".

        A pair that one arm did not answer is asked again after a crash, which
        costs nothing: only recorded outputs can lack an answer.
        """
        answers = [response for response in (baseline, candidate) if response is not None]
        if not answers:
            return
        key = self._key(baseline, candidate)
        self._file.append(b"".join(map(encode, answers)))
        self.completed.add(key)

    def sync(self) -> None:
        """Puts what was appended on the disk."""
        self._file.sync()

    def close(self) -> None:
        """Syncs and lets the next writer in; closing twice is harmless."""
        if self._file.is_closed:
            return
        try:
            self._file.close()
        finally:
            _unlock(self.path, self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _key(self, baseline: Response | None, candidate: Response | None) -> Key:
        arms = {Arm.BASELINE: baseline, Arm.CANDIDATE: candidate}
        given = [(arm, response) for arm, response in arms.items() if response is not None]
        keys = {(response.id, response.repeat) for _, response in given}
        if len(keys) > 1 or any(response.arm != arm for arm, response in given):
            raise ValueError(f"not the two arms' answers to one pair: {[(r.arm, r.id, r.repeat) for _, r in given]}")
        key = keys.pop()
        if key in self.completed:
            raise EvidenceError(f"{self.path}: the pair {_named(key)} is already there; it must not be asked twice")
        return key


@dataclass(slots=True)
class Spool:
    """One arm's answers while they wait for the other's, on the disk: memory holds only where each begins.

    Use `with Spool.open(path, arm) as spool`; the caller holds the run's lock.
    """

    path: Path
    arm: Arm
    warnings: tuple[str, ...]
    """What recovery dropped."""
    _file: _Appended
    _places: dict[Key, tuple[int, int]]
    """Where each answer's line begins, and its length."""

    @classmethod
    def open(cls, path: Path, arm: Arm) -> Self:
        """Recovers what a crash left and opens for appending.

        Raises EvidenceError when the file is broken in a way no crash explains.
        """
        warnings = cut_torn_line(path) if path.exists() else ()
        places = _places(path, arm) if path.exists() else {}
        return cls(path, arm, warnings, _Appended.open(path), places)

    def __contains__(self, key: Key) -> bool:
        return key in self._places

    def append(self, response: Response | None) -> None:
        """Keeps one answer; None is "nothing recorded", which is asked again."""
        if response is None:
            return
        key, line = (response.id, response.repeat), encode(response)
        if response.arm is not self.arm or key in self._places:
            raise EvidenceError(
                f"{self.path}: {_named(key)} of the {response.arm} does not belong here, or is there already"
            )
        self._places[key] = (self._file.append(line), len(line))

    def of(self, key: Key) -> Response | None:
        """The answer to one pair; None where nothing was recorded."""
        if key not in self._places:
            return None
        start, length = self._places[key]
        with self.path.open("rb") as file:
            file.seek(start)
            ((response,),) = decode(Response, io.BytesIO(file.read(length)), str(self.path))
        return response

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _places(path: Path, arm: Arm) -> dict[Key, tuple[int, int]]:
    """Where each answer stands; EvidenceError for one that stands there twice or is another arm's."""
    with path.open("rb") as file:
        lengths = [len(line) for line in file]
    places: dict[Key, tuple[int, int]] = {}
    start = 0
    for response, length in zip(_responses(path), lengths, strict=True):
        key = (response.id, response.repeat)
        if key in places or response.arm is not arm:
            raise EvidenceError(f"{path}: {_named(key)} must be an answer of the {arm}, once (got {response.arm})")
        places[key] = (start, length)
        start += length
    return places


@dataclass(slots=True)
class _Appended:
    """A file that grows at its end, and is on the disk a few seconds later."""

    _file: int
    _unsynced: int = 0
    _synced_at: float = field(default_factory=time.monotonic)

    @classmethod
    def open(cls, path: Path) -> Self:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        sync_folder(path.parent)
        return cls(file)

    @property
    def is_closed(self) -> bool:
        return self._file < 0

    def append(self, lines: bytes) -> int:
        """Appends all or nothing; where it begins."""
        start = append_whole(self._file, lines)
        self._unsynced += 1
        if self._unsynced >= SYNC_PAIRS or time.monotonic() - self._synced_at >= SYNC_SECONDS:
            self.sync()
        return start

    def sync(self) -> None:
        os.fsync(self._file)
        self._unsynced, self._synced_at = 0, time.monotonic()

    def close(self) -> None:
        file, self._file = self._file, -1
        if file < 0:
            return
        try:
            os.fsync(file)
        finally:
            os.close(file)


def append_whole(file: int, lines: bytes) -> int:
    """Appends all or nothing, as what a full disk cut off is taken back; where it begins."""
    size = os.fstat(file).st_size
    try:
        written = os.write(file, lines)
        while written < len(lines):
            written += os.write(file, lines[written:])
    except BaseException:
        os.ftruncate(file, size)
        raise
    return size


def _recover(path: Path) -> tuple[set[Key], tuple[str, ...]]:
    """The completed pairs, after the file was freed of what a crash left."""
    if not path.exists():
        return set(), ()
    warnings = cut_torn_line(path)
    arms: dict[Key, set[Arm]] = {}
    doubled: Counter[tuple[Arm, Key]] = Counter()
    for response in _responses(path):
        known = arms.setdefault((response.id, response.repeat), set())
        if response.arm in known:
            doubled[response.arm, (response.id, response.repeat)] += 1
        known.add(response.arm)
    if doubled:
        raise EvidenceError(some([f"{path}: the {arm} answered {_named(key)} twice" for arm, key in sorted(doubled)]))
    cut = {key for key, known in arms.items() if len(known) < len(Arm)}
    if cut:
        _keep(path, lambda response: (response.id, response.repeat) not in cut)
        warnings += (
            f"{path}: asking again what only one arm had answered: {', '.join(some(sorted(map(_named, cut))))}",
        )
    return arms.keys() - cut, warnings


def cut_torn_line(path: Path) -> tuple[str, ...]:
    """Takes back a line that a crash cut in two; says so."""
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end == size:
            return ()
        file.truncate(end)
    return (f"{path}: cut off a torn last line of {size - end} bytes",)


def _keep(path: Path, wanted: Callable[[Response], bool]) -> None:
    """Rewrites the file without the other lines, at once."""
    rewritten = path.with_name(f".{path.name}.tmp")
    with rewritten.open("wb") as file:
        file.writelines(encode(response) for response in _responses(path) if wanted(response))
        file.flush()
        os.fsync(file.fileno())
    rewritten.replace(path)


def _responses(path: Path) -> Iterator[Response]:
    with path.open("rb") as file:
        for chunk in decode(Response, file, str(path)):
            yield from chunk


def _named(key: Key) -> str:
    return f"'{key[0]}' repeat {key[1]}"


def _lock(path: Path) -> int:
    """Opens and locks `.lock` beside the file; it holds the writer's pid."""
    import fcntl  # noqa: PLC0415 - there is none on Windows, where runs can still be read

    name = path.with_name(".lock")
    while True:
        lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise EvidenceError(f"{path}: process {pid} is writing this run; wait for it, or stop it") from None
        if _is_there(name, lock):
            os.ftruncate(lock, 0)
            os.write(lock, f"{os.getpid()}\n".encode())
            return lock
        os.close(lock)  # the last writer removed it while we waited: take the new one


def _is_there(name: Path, lock: int) -> bool:
    try:
        return os.path.samestat(name.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def _unlock(path: Path, lock: int) -> None:
    path.with_name(".lock").unlink(missing_ok=True)
    os.close(lock)
