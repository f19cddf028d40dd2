"""A checkpoint in what was downloaded: found, made whole, put where it stays, and digested."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from canary.digest import digest_of
from canary.disk import cache_folder, locked_folder, write_whole
from canary.errors import ConfigError

CHECKPOINT = "config.json"
ADAPTER = "adapter_config.json"
"""What a folder of weights, and of a LoRA adapter, has in it."""


def kept(name: str | None, marker: str, download: Callable[[Path], Path]) -> tuple[Path, str]:
    """The folder with `marker` out of a download, and its content's digest, by which it is kept.

    What has a name is downloaded once, unless somebody touched it since. A
    folder is there whole or not at all, whoever else fetches it at the same
    time. Raises ConfigError where the download has no such folder, or several.
    """
    store = cache_folder() / "models"
    store.mkdir(parents=True, exist_ok=True)
    note = None if name is None else store / f"{name}.sha256"
    known = note.read_text() if note is not None and note.is_file() else None
    if known is not None and _is_whole(store / known, known):
        return store / known, known
    with TemporaryDirectory(prefix=".half-", dir=store, ignore_cleanup_errors=True) as half:
        found = _found(download(Path(half)), marker)
        digest = digest_of_folder(found)
        with locked_folder(store):
            _settle(found, store / digest, digest)
            if note is not None:
                write_whole(note, [digest.encode()])
    return store / digest, digest


def _settle(found: Path, home: Path, digest: str) -> None:
    """Move a folder to its place, unless it is there, whole, already."""
    if not _is_whole(home, digest):
        shutil.rmtree(home, ignore_errors=True)
        found.rename(home)


def _is_whole(folder: Path, digest: str) -> bool:
    return folder.is_dir() and digest_of_folder(folder) == digest


def _found(root: Path, marker: str) -> Path:
    """The folder that holds the marker, with the tokenizer that MLflow keeps beside the model."""
    found = sorted(root.rglob(marker), key=lambda path: (len(path.parts), path))
    nearest = [path.parent for path in found if len(path.parts) == len(found[0].parts)]
    if len(nearest) != 1:
        several = ", ".join(str(path.relative_to(root)) for path in nearest[:5])
        raise ConfigError(f"must hold one folder with a {marker} (got {several or 'none'})")
    (folder,) = nearest
    for part in sorted(root.glob("components/*/*")):
        if part.is_file() and folder not in part.parents and not (folder / part.name).exists():
            part.rename(folder / part.name)
    return folder


def digest_of_folder(path: Path) -> str:
    """Digest of a checkpoint's files, by name and content."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return digest_of([[file.name, _digest_of_file(file)] for file in files])


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
