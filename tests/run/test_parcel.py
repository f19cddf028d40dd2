"""A run directory as lines of a log: all of it comes back, or nothing does."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from canary.errors import EvidenceError
from canary.run.parcel import carry, pack, unpack


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Some files of a run."""
    folder = tmp_path / "20260101T000000Z-abc"
    folder.mkdir()
    (folder / "responses.jsonl").write_bytes(os.urandom(200_000))
    (folder / "verdict.json").write_text(json.dumps({"verdict": "hold"}))
    return folder


def test_a_parcel_is_the_run(run: Path, tmp_path: Path) -> None:
    """Every byte comes back, from among the lines of a log."""
    lines = ["before", *pack(run), "after"]
    back = unpack(lines, tmp_path / "back")

    assert back is not None
    assert len(lines) > 4
    assert {path.name: path.read_bytes() for path in back.iterdir()} == {
        path.name: path.read_bytes() for path in run.iterdir()
    }
    assert unpack(["no run here"], tmp_path / "back") is None


def test_a_run_may_be_called_anything_that_can_be_shown(run: Path, tmp_path: Path) -> None:
    """Spaces and letters of any language survive the lines of a log; what styles a terminal does not set out."""
    named, hidden = run.rename(tmp_path / "nächster 100% Lauf"), tmp_path / "\x1b[31mred"

    assert unpack(pack(named), tmp_path / "back") == tmp_path / "back" / named.name
    (module := tmp_path / "sent").mkdir()
    with pytest.raises(EvidenceError, match="must be printable and not begin with a dot"):
        carry(named.rename(hidden), module)
    assert list(module.iterdir()) == []


@pytest.mark.parametrize("damage", ["lost", "changed", "cut", "two"])
def test_a_damaged_parcel_is_refused(run: Path, tmp_path: Path, damage: str) -> None:
    """A log that lost, changed or cut a line, or carries two runs, is no evidence."""
    lines = list(pack(run))
    spoilt = {
        "lost": lines[:1] + lines[2:],
        "changed": [lines[0][:-9] + "AAAAAAAA", *lines[1:]],
        "cut": [*lines[:-1], lines[-1][:60]],
        "two": [*lines, *(line.replace("abc", "xyz") for line in lines)],
    }[damage]

    with pytest.raises(EvidenceError, match="a run that is not whole"):
        unpack(spoilt, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def parcel(name: str, *members: tarfile.TarInfo, text: str | None = None) -> list[str]:
    """A log's lines that carry these entries, all empty, under a name; or another text in place of an archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member)
    text = base64.b64encode(buffer.getvalue()).decode() if text is None else text
    return [f"@canary-run {name} 1/1 {hashlib.sha256(text.encode()).hexdigest()} {text}"]


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    """One entry of an archive, which claims a size."""
    found = tarfile.TarInfo(name)
    found.type, found.size, found.linkname = kind, size, "/etc/passwd"
    return found


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (parcel(".", entry("a")), "whose name is none"),
        (parcel("..", entry("a")), "whose name is none"),
        (parcel("../../r", entry("a")), "whose name is none"),
        (parcel(".judgements.jsonl", entry("a")), "whose name is none"),
        (parcel("..%2fr", entry("a")), "whose name is none"),
        (parcel("%1b[31mr", entry("a")), "whose name is none"),
        (parcel("r", entry("a", tarfile.SYMTYPE)), "other than plain files: 'a'"),
        (parcel("r", entry("a", tarfile.LNKTYPE)), "other than plain files: 'a'"),
        (parcel("r", entry("a", tarfile.FIFOTYPE)), "other than plain files: 'a'"),
        (parcel("r", text="AAAA"), "cannot be unpacked"),
        (parcel("r", text="A"), "cannot be unpacked"),
        (parcel("r", text=base64.b64encode(gzip.compress(entry("a").tobuf())[:-8] + bytes(8)).decode()), "be unpacked"),
        (["@canary-run r 1/99999999999999999999 x y"], "not whole"),
    ],
)
def test_a_hostile_parcel_is_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    """A job that sends links, names that lead elsewhere, or no archive: nothing is written."""
    with pytest.raises(EvidenceError, match=re.escape(said)):
        unpack(lines, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_parcel_that_swells_is_refused(tmp_path: Path) -> None:
    """What an archive claims to hold is counted before any of it is written."""
    huge = entry("a", size=(2 << 30) + 1).tobuf()
    text = base64.b64encode(gzip.compress(huge + b"\0" * 1024)).decode()

    with pytest.raises(EvidenceError, match="more than 2048 MiB"):
        unpack(parcel("r", text=text), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_parcel_leads_nowhere(tmp_path: Path) -> None:
    """An entry above its run's folder is refused."""
    with pytest.raises(EvidenceError, match="cannot be unpacked"):
        unpack(parcel("r", entry("../above")), tmp_path / "back")
    assert not (tmp_path / "back" / "above").exists()
