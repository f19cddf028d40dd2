"""What several test files need."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from canary.cli import main

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Real outputs of real models; a user's machine has none."""
    if not DATA.is_dir():
        pytest.skip(f"no real outputs at {DATA}: see the README for their public sources")
    return DATA


class Ran:
    """A command's exit status and what it printed."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def verdict(self) -> dict[str, Any]:
        """The verdict document of `--json`."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    def signal(self, name: str) -> dict[str, Any]:
        """One signal of the verdict document."""
        found: dict[str, Any] = next(s for s in self.verdict["signals"] if s["name"] == name)
        return found


@pytest.fixture
def canary() -> Callable[..., Ran]:
    """Run the command line in process: `canary("compare", a, b)`."""

    def run(*argv: object) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        status = main([str(argument) for argument in argv], out, err)
        return Ran(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[[str, list[Mapping[str, Any]]], Path]:
    """Write a JSONL file: `write_lines("a.jsonl", [{"id": "1"}])`."""

    def write(name: str, rows: list[Mapping[str, Any]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write
