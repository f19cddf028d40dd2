"""The shipped workspace: where it is, and how a user gets a copy."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterator
from pathlib import Path

from canary.document import display
from canary.errors import ConfigError, GateError

FOLDERS = ("evals", "golden_sets", "pipelines")


def workspace() -> Path:
    """The folder that holds `evals/`, `golden_sets/` and `pipelines/` as shipped.

    Inside the package where it is installed from a wheel, else the repository.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_workspace", package.parent):
        if all((folder / name).is_dir() for name in FOLDERS):
            return folder
    raise GateError("the workspace that ships with canary-gate is missing: install it again")


def init(target: Path, *, force: bool = False) -> list[Path]:
    """Copy the workspace into a folder; the files written, sorted.

    A file that is there already and differs is never overwritten without
    `force`: ConfigError names all such files, and nothing is copied.
    """
    source = workspace()
    try:
        return _copy({target / file: source / file for file in _files(source)}, force=force)
    except OSError as error:
        raise ConfigError(f"{display(target)}: cannot be written ({error.strerror or error})") from None


def _copy(wanted: dict[Path, Path], *, force: bool) -> list[Path]:
    changed = {to: file for to, file in wanted.items() if not _is_same(to, file)}
    blocked = [to for to in changed if _is_blocked(to, force=force)]
    if blocked:
        found = [f"{display(to)}: is in the way of the file that would be copied" for to in blocked]
        raise ConfigError([*found, "nothing was copied; --force replaces files that differ"])
    for to, file in changed.items():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)
    return sorted(changed)


def _files(source: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        for file in sorted((source / folder).rglob("*")):
            inside = file.relative_to(source)
            if file.is_file() and not any(part.startswith((".", "__pycache__")) for part in inside.parts):
                yield inside


def _is_same(to: Path, file: Path) -> bool:
    return to.is_file() and filecmp.cmp(to, file, shallow=False)


def _is_blocked(to: Path, *, force: bool) -> bool:
    """A folder in a file's place, or a file in a folder's, is never replaced."""
    in_the_way = any(parent.exists() and not parent.is_dir() for parent in to.parents)
    return in_the_way or to.is_dir() or (to.exists() and not force)
