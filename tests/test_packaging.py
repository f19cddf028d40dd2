"""The wheel is the product: what is in it, and that it works where the checkout is not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("canary", "evals", "golden_sets", "pipelines", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy of it."""
    source = tmp_path_factory.mktemp("source")
    for name in KEPT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(source / "dist"), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (source / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that holds the wheel with its light dependencies, and its `bin`."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home)
    programs = home / ("Scripts" if os.name == "nt" else "bin")
    done = pip(programs, "install", "--quiet", "--no-compile", "-c", str(ROOT / "constraints.txt"), str(wheel))

    assert done.returncode == 0, done.stdout + done.stderr
    return programs


def pip(clean: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run this environment's pip on the clean one, which has none: making one there takes as long as all else."""
    whole = [sys.executable, "-m", "pip", "--python", str(clean / "python"), *command]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def run(clean: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the clean environment in a folder, without this checkout in sight."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [clean / command[0], *command[1:]], cwd=folder, env=kept, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_top_level_is_canary_alone(wheel: Path) -> None:
    """The wheel installs one package; `evals` and `pipelines` stay the user's own names."""
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"canary"}
    assert {"canary/py.typed", "canary/cli/__init__.py", "canary/_workspace/pipelines/recorded.yaml"} <= set(names)
    assert {f"canary/reporters/html/templates/{name}" for name in ("report.html", "page.css", "cases.js")} <= set(names)


@pytest.mark.slow
def test_workspace_is_whole(wheel: Path) -> None:
    """Every tracked file of the workspace folders is in the wheel, byte for byte."""
    tracked = subprocess.run(
        ["git", "ls-files", "evals", "golden_sets", "pipelines"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    archive = zipfile.ZipFile(wheel)

    assert [name for name in tracked if archive.read(f"canary/_workspace/{name}") != (ROOT / name).read_bytes()] == []


@pytest.mark.slow
def test_init_and_run_work_on_the_light_base(clean: Path, tmp_path: Path) -> None:
    """`canary init && canary run` gate the recorded example with no optional library."""
    assert run(clean, tmp_path, "canary", "init").returncode == 0

    done = run(clean, tmp_path, "canary", "run")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("promote: ")
    assert (tmp_path / "runs").is_dir()


@pytest.mark.slow
def test_nothing_heavy_is_installed(clean: Path) -> None:
    """The base leaves out Ray, torch and MLflow, and says how to get them."""
    listed = pip(clean, "list", "--format=freeze").stdout.lower()

    assert re.search(r"^canary[-_]gate==", listed, flags=re.MULTILINE)
    assert not re.search(r"^(ray|torch|transformers|mlflow|sentence-transformers)==", listed, flags=re.MULTILINE)


@pytest.mark.slow
def test_version_is_said_once(clean: Path, tmp_path: Path) -> None:
    """The command, the package and the project file agree on the version."""
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)

    assert declared
    assert run(clean, tmp_path, "canary", "--version").stdout.split()[-1] == declared[1]


def test_constraints_are_plain_pins() -> None:
    """`constraints.txt` pins versions and names no place to get them from."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()

    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line)] == []
    assert len({line.split("==")[0].lower() for line in lines}) == len(lines)
