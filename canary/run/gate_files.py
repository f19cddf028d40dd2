"""Which files of a tree are the gate itself, and how two trees differ in them.

Only reads: nothing of a pull request is imported or run.
"""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from canary.gate_change import GateChange
from canary.located import parse

WORKFLOWS = (".github/workflows", ".github/actions")
"""What runs the gate; a pull request that edits it could leave the gate out."""

_MOST_BYTES = 1 << 20


def gate_files(root: Path, pipeline: Path, places: Iterable[Path] = (), policy: Path | None = None) -> dict[str, str]:
    """sha256 of every file of the gate, by its path from `root`.

    That is the pipeline without its candidate, its suite, policy, golden sets,
    calibration, trace, the suite's plugins and functions, and the workflows.
    Files outside of `root` are left out. `places` are the folders under
    `root` in which Python looks for modules, `policy` is one beside the pipeline's own.
    """
    root, document = root.resolve(), _document(pipeline)
    rules = {key: value for key, value in document.items() if key != "candidate"}
    found = {pipeline.resolve(): hashlib.sha256(json.dumps(rules, sort_keys=True, default=str).encode()).hexdigest()}
    chosen = () if policy is None else (policy,)
    for path in (*chosen, *_named(rules, pipeline, root, places), *(root / folder for folder in WORKFLOWS)):
        for file in _below(path):
            if file not in found:
                found[file] = _sha256(file)
    return {file.relative_to(root).as_posix(): digest for file, digest in found.items() if file.is_relative_to(root)}


def differences(base: Mapping[str, str], head: Mapping[str, str]) -> tuple[GateChange, ...]:
    """What the pull request changes, adds and deletes, by path."""
    changes = []
    for path in sorted(base.keys() | head.keys()):
        was, now = base.get(path), head.get(path)
        if was != now:
            how = "added" if was is None else "deleted" if now is None else "changed"
            changes.append(GateChange(path=path, how=how, base=was, head=now))
    return tuple(changes)


def _named(rules: Mapping[str, Any], pipeline: Path, root: Path, places: Iterable[Path]) -> Iterator[Path]:
    """Every path that the pipeline and its suite name."""
    folder = pipeline.parent
    yield from _files_named({key: rules.get(key) for key in ("policy", "calibration", "labels", "load")}, folder)
    yield from folder.glob(f"{glob.escape(pipeline.stem)}.*.json")  # calibrations, kept beside it
    if not isinstance(rules.get("suite"), str):
        return
    suite = (folder / rules["suite"]).resolve()
    yield suite
    yield from suite.parent.glob(f"{glob.escape(suite.stem)}.*.json")
    asked = _document(suite)
    yield from _files_named(asked, suite.parent)
    yield from _files_named(asked, root)  # a function's file is found from the working folder
    for name in asked.get("plugins") or ():
        top = str(name).split(".")[0]
        for place in {*places, Path(), Path("src")}:
            yield root / place / f"{top}.py"
            yield root / place / top


def _files_named(value: Any, folder: Path) -> Iterator[Path]:
    """What the texts of a document name, as far as it is there."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _files_named(item, folder)
    elif isinstance(value, str) and 0 < len(value) < 1000 and "\n" not in value and "\0" not in value:
        written = re.sub(r"\.py:\w+$", ".py", value.removeprefix("file://"))
        if (path := (folder / written).resolve()).exists() and path != folder.resolve():
            yield path


def _below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path.resolve()
    elif path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts and ".git" not in file.parts:
                yield file.resolve()


def _document(path: Path) -> dict[str, Any]:
    """A YAML file as plain values; what is none counts by its bytes."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    value = parse(data.decode(errors="replace")).value if len(data) <= _MOST_BYTES else None
    return value if isinstance(value, dict) else {"": hashlib.sha256(data).hexdigest()}


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"
