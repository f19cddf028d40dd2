"""A checkpoint in what was downloaded: found, made whole, put where it stays, and digested."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from canary.disk import cache_folder
from canary.errors import ConfigError
from canary.plan import digest_of

CHECKPOINT = "config.json"
ADAPTER = "adapter_config.json"
"""What a folder of weights, and of a LoRA adapter, has in it."""


def kept(name: str | None, marker: str, download: Callable[[Path], Path]) -> Path:
    """The folder with `marker` out of a download, which is kept under its name, else under its content's digest.

    It is there whole or not at all, whoever else fetches it at the same time;
    what has a name is downloaded once. Raises ConfigError where the download
    has no such folder, or more than one.
    """
    store = cache_folder() / "models"
    if name is not None and (store / name).is_dir():
        return store / name
    store.mkdir(parents=True, exist_ok=True)
    with _half(store) as half:
        found = _found(download(half), marker)
        home = store / (name or digest_of_folder(found))
        with suppress(OSError):  # another one was faster
            found.rename(home)
        if not home.is_dir():
            raise NotADirectoryError(f"{home} could not be written")
        return home


@contextmanager
def _half(store: Path) -> Iterator[Path]:
    with TemporaryDirectory(prefix=".half-", dir=store, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


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
