"""Files that only grow: nothing that was appended is lost, and only the last write can be torn.

What was appended survives `kill -9` of this process, as the operating system
holds it; what was synced survives a power cut.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from canary.disk import sync_folder
from canary.errors import EvidenceError

SYNC_EVERY = 256
"""Appends between two syncs, at most."""
SYNC_SECONDS = 5.0
BLOCK = 1 << 16


@dataclass(slots=True)
class Appended:
    """A file that grows at its end, and is on the disk a few seconds later; closing twice is harmless."""

    path: Path
    _file: int
    _unsynced: int = 0
    _synced_at: float = field(default_factory=time.monotonic)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Makes the file where there is none."""
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        sync_folder(path.parent)
        return cls(path, file)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be appended."""
        return self._file < 0

    def append(self, lines: bytes) -> int:
        """Appends all or nothing; where it begins."""
        start = append_whole(self._file, lines)
        self._unsynced += 1
        if self._unsynced >= SYNC_EVERY or time.monotonic() - self._synced_at >= SYNC_SECONDS:
            self.sync()
        return start

    def sync(self) -> None:
        """Puts what was appended on the disk; raises EvidenceError where nobody will find it there."""
        os.fsync(self._file)
        if os.fstat(self._file).st_nlink == 0 and not self.path.exists():  # some file systems count no links
            raise EvidenceError(f"{self.path}: was deleted while it was written, and what it held is lost")
        self._unsynced, self._synced_at = 0, time.monotonic()

    def close(self) -> None:
        """Syncs and closes."""
        file, self._file = self._file, -1
        if file < 0:
            return
        try:
            os.fsync(file)
        finally:
            os.close(file)


def append_whole(file: int, lines: bytes) -> int:
    """Appends all or nothing; where it begins."""
    with all_or_nothing(file) as size:
        written = os.write(file, lines)
        while written < len(lines):
            written += os.write(file, lines[written:])
    return size


@contextmanager
def all_or_nothing(file: int) -> Iterator[int]:
    """Yields the file's size; what the body appended is taken back where it fails, as on a full disk."""
    size = os.fstat(file).st_size
    try:
        yield size
    except BaseException:
        os.ftruncate(file, size)
        raise


def cut_torn_line(path: Path) -> tuple[str, ...]:
    """Takes back a line that a crash cut in two; says so. Raises EvidenceError for what a crash cannot have left."""
    if path.exists() and not path.is_file():
        raise EvidenceError(f"{path}: is no file")
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
