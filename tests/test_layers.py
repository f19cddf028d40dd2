"""Imports point one way, and heavy libraries are loaded only where they are used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "canary"

ROWS = """
bounds digest series collector records contrast errors gate_change address source written timing expression policy
release sharing destination calibration agreement judging offered pipeline plan resumption
protocols codec located validation document case labelled manifest
stats assertions
order pace
compare signals
looks
gate
evaluate
disk
appended
tracking
weights
golden evidence ledger signature journal config scaffold importers engines models reporters live registry
runners
run
cli
__main__
"""
"""From the nouns to the command line.

A module imports only from rows above its own. Above `disk` everything is
pure, and a module may also import from its left; below, neighbours never meet.
Runners open the engines they drive, so they stand on a row of their own.
"""

ROW = {name: number for number, row in enumerate(ROWS.strip().splitlines()) for name in row.split()}
ORDER = {name: number for number, name in enumerate(ROWS.split())}
EDGE = ROW["disk"]

HEAVY = (
    "torch", "ray", "transformers", "huggingface_hub", "mlflow", "sentence_transformers", "vllm", "scipy", "pandas",
    "sklearn",
)  # fmt: skip
"""Seconds to import; scipy alone takes 0.8 s, so only `stats` may name it at its top."""

FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """The module or package directly under `canary` that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(tree: ast.AST) -> Iterator[str]:
    """Every absolute module name a tree imports, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def loaded_at_once(tree: ast.Module) -> Iterator[str]:
    """The modules a file imports when it is imported itself."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        statement = pending.pop()
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield from imported(statement)
        elif isinstance(statement, ast.ClassDef | ast.Try):
            pending += statement.body
        elif isinstance(statement, ast.If):
            pending += statement.orelse if "TYPE_CHECKING" in ast.unparse(statement.test) else statement.body


def may_import(importer: str, other: str) -> bool:
    """Whether the table lets one part import another."""
    is_pure = ROW[importer] < EDGE
    return ROW[other] < ROW[importer] or (is_pure and ROW[other] == ROW[importer] and ORDER[other] < ORDER[importer])


def ids(path: Path) -> str:
    """A file's name in a test's name."""
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_imports_point_one_way(path: Path) -> None:
    """A module imports only from the rows above it."""
    importer = part(path)
    parts = {name.split(".")[1] for name in imported(ast.parse(path.read_text())) if name.startswith("canary.")}
    if importer == "__init__":
        return  # the public names: lazily from everywhere (test_public_api)

    assert importer in ROW, f"give canary/{importer} a row in ROWS"
    assert [other for other in sorted(parts & ROW.keys() - {importer}) if not may_import(importer, other)] == []
    assert parts - ROW.keys() <= {"__version__"}, "canary's own modules are imported by their full name"


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_no_heavy_library_at_module_level(path: Path) -> None:
    """Heavy libraries are imported inside the functions that need them; scipy by `stats` alone."""
    heavy = {name.split(".")[0] for name in loaded_at_once(ast.parse(path.read_text()))} & set(HEAVY)

    assert heavy <= ({"scipy"} if part(path) == "stats" else set())


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_imports_are_absolute(path: Path) -> None:
    """One module has one name: `canary.x.y`."""
    nodes = ast.walk(ast.parse(path.read_text()))

    assert all(node.level == 0 for node in nodes if isinstance(node, ast.ImportFrom))


@pytest.mark.parametrize("command", [["-c", "import canary"], ["-m", "canary", "--help"]], ids=["import", "help"])
def test_light_start(command: list[str]) -> None:
    """`import canary` and `canary --help` load no heavy library, nor numpy, rich or pydantic."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    loaded = {name.split(".")[0] for name in re.findall(r"\|\s+([\w.]+)$", done.stderr, flags=re.MULTILINE)}

    assert "canary" in loaded
    assert loaded.isdisjoint({*HEAVY, "numpy", "rich", "pydantic", "aiohttp", "jinja2"})
