"""The workspace that ships, and how a user gets a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from canary import scaffold
from canary.config import load_policy, load_suite
from canary.errors import ConfigError, GateError
from canary.golden import load_golden_sets
from canary.scaffold import init, workspace


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that files have short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> set[Path]:
    """Every file below a folder, relative to it."""
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_the_workspace_holds_its_three_folders() -> None:
    """In a wheel and in a checkout alike."""
    assert all((workspace() / name).is_dir() for name in ("evals", "golden_sets", "pipelines"))


def test_a_copy_works_where_it_lands(here: Path) -> None:
    """Every path inside is relative to the file that names it."""
    init(here / "mine")
    suite = load_suite("mine/evals/quickstart.yaml")
    assert suite.golden_sets == (str(here / "mine/golden_sets/quickstart"),)
    assert load_golden_sets(suite.golden_sets, suite).warnings == ()
    assert load_policy("mine/evals/policy.yaml") == load_policy(workspace() / "evals/policy.yaml")


def test_every_file_of_the_workspace_is_copied_and_named(here: Path) -> None:
    """Sorted, byte for byte, and nothing that editors or Python leave behind."""
    written = init(here)
    assert written == sorted(written)
    assert {path.relative_to(here) for path in written} == files(here)
    assert {path.parts[0] for path in files(here)} == {"evals", "golden_sets", "pipelines"}
    for path in files(here):
        assert (here / path).read_bytes() == (workspace() / path).read_bytes()


def test_what_belongs_to_tools_is_left_behind(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches and hidden files are no part of the workspace."""
    for name in ("evals/a.yaml", "evals/.a.swp", "golden_sets/.git/x", "pipelines/__pycache__/x.pyc", "runs/r.json"):
        path = here / "canary/_workspace" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.setattr(scaffold, "__file__", str(here / "canary/scaffold.py"))
    assert init(here / "mine") == [here / "mine/evals/a.yaml"]


def test_a_second_copy_writes_nothing(here: Path) -> None:
    """Files that are the same already are no conflict."""
    init(here)
    assert init(here) == []


def test_a_file_that_differs_is_never_overwritten_unasked(here: Path) -> None:
    """All conflicts are named, and nothing is copied."""
    (here / "evals").mkdir()
    (here / "evals/policy.yaml").write_text("version: 1\n")
    (here / "evals/recorded.yaml").write_text("mine\n")
    with pytest.raises(ConfigError) as caught:
        init(here)
    assert caught.value.problems == (
        "evals/policy.yaml: is in the way of the file that would be copied",
        "evals/recorded.yaml: is in the way of the file that would be copied",
        "nothing was copied; --force replaces files that differ",
    )
    assert files(here) == {Path("evals/policy.yaml"), Path("evals/recorded.yaml")}


def test_force_replaces_files_that_differ_and_leaves_others_alone(here: Path) -> None:
    """The user's own files are not of the workspace."""
    init(here)
    (here / "evals/policy.yaml").write_text("mine\n")
    (here / "evals/mine.yaml").write_text("mine\n")
    assert init(here, force=True) == [here / "evals/policy.yaml"]
    assert (here / "evals/policy.yaml").read_bytes() == (workspace() / "evals/policy.yaml").read_bytes()
    assert (here / "evals/mine.yaml").read_text() == "mine\n"


def test_a_folder_in_place_of_a_file_is_in_the_way_even_of_force(here: Path) -> None:
    """And so is a file in place of a folder."""
    (here / "evals/policy.yaml").mkdir(parents=True)
    (here / "pipelines").write_text("a file")
    with pytest.raises(ConfigError) as caught:
        init(here, force=True)
    assert "evals/policy.yaml: is in the way of the file that would be copied" in caught.value.problems
    assert "pipelines/recorded.yaml: is in the way of the file that would be copied" in caught.value.problems
    assert files(here) == {Path("pipelines")}


def test_a_folder_that_cannot_be_written_is_said_to_be_so() -> None:
    """No traceback for what the file system refuses."""
    with pytest.raises(ConfigError, match=r"^x+: cannot be written \(File name too long\)$"):
        init(Path("x" * 300))


def test_an_installation_without_workspace_is_broken(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate's fault, not the user's."""
    monkeypatch.setattr(scaffold, "__file__", str(here / "canary/scaffold.py"))
    with pytest.raises(GateError, match=r"^the workspace that ships with canary-gate is missing: install it again$"):
        workspace()
