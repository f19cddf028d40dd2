"""The record of a finished run: what its files hold, and what came before.

Each manifest names the one before it in the same folder of runs by sha256, so
whoever changes or removes an earlier record must rewrite all later ones. The
last record of a chain is held by nothing but itself: keep its sha256 (it is
printed when the run ends) wherever that matters.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MANIFEST_SCHEMA: Literal["canary-gate/manifest/1"] = "canary-gate/manifest/1"
Sha256 = str


class File(BaseModel):
    """One file's content."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: Sha256 = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    """Bytes."""


class Previous(BaseModel):
    """The record sealed before this one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    run: str
    """Name of its folder when this record was sealed."""
    sha256: Sha256 = Field(pattern="^[0-9a-f]{64}$")
    """Of its manifest."""


class Seal(BaseModel):
    """What `manifest.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_: Literal["canary-gate/manifest/1"] = Field(MANIFEST_SCHEMA, alias="schema")
    files: dict[str, File]
    """By path inside the run, with forward slashes."""
    previous: Previous | None
    sealed_at: str | None = Field(None, pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    """UTC, to the second; None in records of earlier versions."""

    def dumps(self) -> bytes:
        """The file's bytes."""
        return (json.dumps(self.model_dump(by_alias=True), indent=2, sort_keys=True) + "\n").encode()


def read(document: bytes) -> Seal | None:
    """The manifest, or None where the bytes are no manifest of ours."""
    try:
        return Seal.model_validate_json(document)
    except ValidationError:
        return None


def digest(document: bytes) -> Sha256:
    """The sha256 a later record names it by."""
    return hashlib.sha256(document).hexdigest()


def last(records: Mapping[str, bytes]) -> Previous | None:
    """The record that no other one follows; the latest name, if there are several."""
    manifests = {name: manifest for name, document in records.items() if (manifest := read(document))}
    followed = {manifest.previous.sha256 for manifest in manifests.values() if manifest.previous}
    ends = [name for name in manifests if digest(records[name]) not in followed]
    return Previous(run=max(ends), sha256=digest(records[max(ends)])) if ends else None


def compare_files(expected: Mapping[str, File], found: Mapping[str, File]) -> Iterator[str]:
    """What differs between the manifest and the folder, one sentence a file."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield f"{name} is missing (the manifest has sha256 {expected[name].sha256})"
        elif name not in expected:
            yield f"{name} was added after the run was sealed (it is not in the manifest)"
        elif expected[name] != found[name]:
            yield f"{name} changed: {_differs(expected[name], found[name])}"


def _differs(expected: File, found: File) -> str:
    then = f"the manifest has sha256 {expected.sha256} ({expected.size} bytes)"
    return f"{then}, found {found.sha256} ({found.size} bytes)"


def check_chain(records: Mapping[str, bytes]) -> Iterator[str]:
    """What was changed in the chain over a folder's records; records by run name.

    A folder that was moved or renamed with its content unchanged is fine, and
    so is one that was removed: `removed` names those.
    """
    known = {digest(document) for document in records.values()}
    followers: defaultdict[Sha256 | None, dict[Sha256, str]] = defaultdict(dict)
    for name in sorted(records):
        manifest = read(records[name])
        if manifest is None:
            continue
        before = manifest.previous
        followers[before.sha256 if before else None].setdefault(digest(records[name]), name)
        if before and before.sha256 not in known and before.run in records:
            yield _changed(name, before, records[before.run])
    for sha256, names in followers.items():
        if len(names) > 1:
            yield f"the chain forks: {', '.join(names.values())} each claim to be {_place(sha256)}"


def removed(records: Mapping[str, bytes]) -> Iterator[str]:
    """The records that others were sealed on and that are gone, one sentence each."""
    known = {digest(document) for document in records.values()}
    for name in sorted(records):
        manifest = read(records[name])
        before = manifest.previous if manifest else None
        if before and before.sha256 not in known and before.run not in records:
            gone = f"record {before.run} (sha256 {before.sha256})"
            yield f"{gone}, on which {name} was sealed, is no longer in this folder"


def _changed(name: str, before: Previous, document: bytes) -> str:
    then = f"record {before.run}, on which {name} was sealed (sha256 {before.sha256}),"
    return f"the chain is cut: {then} changed since (its manifest.json is now {digest(document)})"


def _place(sha256: Sha256 | None) -> str:
    return f"the one after record {sha256}" if sha256 else "the first record"
