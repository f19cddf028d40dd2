"""One arm's answers while they wait for the other's, no part of a run's record."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from canary.appended import Appended, cut_torn_line
from canary.codec import decode, encode
from canary.errors import EvidenceError
from canary.journal import Key, named, responses_in
from canary.records import Arm, Response


@dataclass(slots=True)
class Spool:
    """One arm's answers while they wait for the other's, on the disk: memory holds only where each begins.

    Use `with Spool.open(path, arm) as spool`; the caller holds the run's lock.
    """

    path: Path
    arm: Arm
    warnings: tuple[str, ...]
    """What recovery dropped."""
    _file: Appended
    _places: dict[Key, tuple[int, int]]
    """Where each answer's line begins, and its length."""

    @classmethod
    def open(cls, path: Path, arm: Arm) -> Self:
        """Recovers what a crash left and opens for appending.

        Raises EvidenceError when the file is broken in a way no crash explains.
        """
        warnings = cut_torn_line(path) if path.exists() else ()
        places = _places(path, arm) if path.exists() else {}
        return cls(path, arm, warnings, Appended.open(path), places)

    def __contains__(self, key: Key) -> bool:
        return key in self._places

    def append(self, response: Response | None) -> None:
        """Keeps one answer; None is "nothing recorded", which is asked again."""
        if response is None:
            return
        key, line = (response.id, response.repeat), encode(response)
        if response.arm is not self.arm or key in self._places:
            raise EvidenceError(
                f"{self.path}: {named(key)} of the {response.arm} does not belong here, or is there already"
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
    for response, length in zip(responses_in(path), lengths, strict=True):
        key = (response.id, response.repeat)
        if key in places or response.arm is not arm:
            raise EvidenceError(f"{path}: {named(key)} must be an answer of the {arm}, once (got {response.arm})")
        places[key] = (start, length)
        start += length
    return places
