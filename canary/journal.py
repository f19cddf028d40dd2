"""The journal of a run: both arms' answers to a pair, in one write.

Only the last write can be torn (`appended`), so whatever else is wrong in the
file did not come from a crash.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from canary.appended import Appended, cut_torn_line
from canary.codec import decode, encode, some
from canary.disk import write_whole
from canary.errors import EvidenceError
from canary.records import Arm, Response

Key = tuple[str, int]
"""A pair: case id and repeat."""


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
    _file: Appended
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
            file = Appended.open(path)
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
            raise EvidenceError(f"{self.path}: the pair {named(key)} is already there; it must not be asked twice")
        return key


def _recover(path: Path) -> tuple[set[Key], tuple[str, ...]]:
    """The completed pairs, after the file was freed of what a crash left."""
    if not path.exists():
        return set(), ()
    warnings = cut_torn_line(path)
    arms: dict[Key, set[Arm]] = {}
    doubled: Counter[tuple[Arm, Key]] = Counter()
    for response in responses_in(path):
        known = arms.setdefault((response.id, response.repeat), set())
        if response.arm in known:
            doubled[response.arm, (response.id, response.repeat)] += 1
        known.add(response.arm)
    if doubled:
        raise EvidenceError(some([f"{path}: the {arm} answered {named(key)} twice" for arm, key in sorted(doubled)]))
    cut = {key for key, known in arms.items() if len(known) < len(Arm)}
    if cut:
        kept = (response for response in responses_in(path) if (response.id, response.repeat) not in cut)
        write_whole(path, map(encode, kept))
        warnings += (
            f"{path}: asking again what only one arm had answered: {', '.join(some(sorted(map(named, cut))))}",
        )
    return arms.keys() - cut, warnings


def responses_in(path: Path) -> Iterator[Response]:
    """Every answer of a file, one after the other; EvidenceError names the file and line of one that is broken."""
    with path.open("rb") as file:
        for chunk in decode(Response, file, str(path)):
            yield from chunk


def named(key: Key) -> str:
    """A pair as messages say it: `'math-17' repeat 0`."""
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
