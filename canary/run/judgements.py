"""What a judge said, kept: `judgements.jsonl` of a run, and a cache across runs.

One line a vote, with the judge's own words, what they cost and how many tries
they took. A verdict is always read again from those words, never taken from
the line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from canary.appended import cut_torn_line
from canary.disk import write_whole
from canary.errors import EvidenceError

CACHE = ".judgements.jsonl"
"""Beside the runs; no part of any of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One vote on one question."""

    judge: str
    """Digest of the judge's release."""
    question: str
    """The question's key."""
    vote: int
    output: str
    """The judge's words, untouched."""
    error: str | None = None
    """Why there are no words, or not all of them."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    charged_tokens: int
    """What the run's budget was charged: what was reported, else what was reserved."""
    charged_usd: float
    seconds: float | None = None
    tries: int = 1
    cached: bool = False
    """Whether it was said in an earlier run, at that run's expense."""

    @property
    def place(self) -> tuple[str, str, int]:
        """What it answers: nothing else is ever taken for it."""
        return self.judge, self.question, self.vote


Place = tuple[str, str, int]


@dataclass(slots=True)
class Judgements:
    """What is known already, and where to write what comes; either file may be absent."""

    journal: Path | None
    cache: Path | None
    known: dict[Place, Judgement] = field(default_factory=dict)
    """Of this run."""
    cached: dict[Place, Judgement] = field(default_factory=dict)
    """Of earlier runs."""
    tokens: int = 0
    """Spent by this run, read and written."""
    usd: float = 0.0

    @classmethod
    def open(cls, journal: Path | None, cache: Path | None) -> Self:
        """Everything that was said; a torn last line of the journal is cut off.

        Raises EvidenceError naming a line of the journal that is broken
        otherwise. A broken line of the cache is as good as none.
        """
        opened = cls(journal, cache)
        if journal is not None and journal.exists():
            cut_torn_line(journal)
            for found in _strictly(journal):
                opened._note(found)
        if cache is not None and cache.exists():
            opened.cached = {found.place: found for _, found in _lines(cache) if isinstance(found, Judgement)}
        return opened

    def write_to(self, path: Path) -> None:
        """Everything this run knows, where there was no journal to write to."""
        write_whole(path, map(_encode, self.known.values()))

    def keep(self, judgement: Judgement, *, reusable: bool) -> None:
        """Writes one vote, into the cache too where another run may use it."""
        self._note(judgement)
        line = _encode(judgement)
        if self.journal is not None:
            _append(self.journal, line)
        if self.cache is not None and reusable and not judgement.cached:
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            _append(self.cache, line)

    def _note(self, judgement: Judgement) -> None:
        self.known[judgement.place] = judgement
        if not judgement.cached:
            self.tokens += judgement.charged_tokens
            self.usd += judgement.charged_usd


def _encode(judgement: Judgement) -> bytes:
    return (json.dumps(asdict(judgement), separators=(",", ":"), allow_nan=False) + "\n").encode()


def _append(path: Path, line: bytes) -> None:
    """One line in one write, so that two writers never mix."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


_adapter = TypeAdapter(Judgement)


def _lines(path: Path) -> Iterator[tuple[int, Judgement | str]]:
    """Each line's number, with the vote or what is wrong."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                document: Mapping[str, Any] = json.loads(line)
                yield number, _adapter.validate_python(document)
            except ValidationError as error:
                yield number, f"{error.error_count()} fields are not those of a judgement"
            except (ValueError, RecursionError) as error:
                yield number, str(error)


def _strictly(path: Path) -> Iterator[Judgement]:
    for number, found in _lines(path):
        if isinstance(found, str):
            raise EvidenceError(f"{path}:{number}: {found}")
        yield found
