"""The seal: what was changed, removed or added after it is named."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from canary.evidence import (
    EVIDENCE,
    RunDirectory,
    load_run,
    new_run,
    removed_neighbours,
    seal,
)
from tests.evidence.conftest import NOW, PLAN, PROMPTS, fill, problems, verify


def test_unsealed_run_says_so(open_run: RunDirectory) -> None:
    """A run without its seal is not finished; replay and verify say how to go on."""
    told = (
        f"{open_run.path} is not finished: it has no manifest.json; continue with canary run --resume {open_run.path}"
    )

    assert problems(lambda: load_run(open_run.path)) == (f"{told}, or run again",)
    assert verify(open_run.path) == [f"{told}, or run again"]


@pytest.mark.parametrize("name", [*EVIDENCE, "verdict.json"])
def test_incomplete_run_is_not_sealed(open_run: RunDirectory, name: str) -> None:
    """A run is sealed only with everything a verdict rests on."""
    (open_run.path / name).unlink()

    (problem,) = problems(lambda: seal(open_run))

    assert f"is not finished: {name} missing" in problem
    assert not open_run.manifest.exists()


def test_sealing_twice(run: RunDirectory) -> None:
    """A sealed run stays as it is."""
    assert problems(lambda: seal(run)) == (f"{run.path} is already sealed",)


@pytest.mark.parametrize("name", [*EVIDENCE, "verdict.json", "summary.md"])
def test_changed_file_is_found(run: RunDirectory, name: str) -> None:
    """One changed byte in any file is named with both digests."""
    file = run.path / name
    file.write_bytes(file.read_bytes().replace(b"0", b"9", 1) + b" ")

    (problem,) = verify(run.path)

    assert problem.startswith(f"{name} changed: the manifest has sha256 ")
    if name in EVIDENCE:
        assert problems(lambda: load_run(run.path)) == (f"{run.path}: {problem}",)
    else:
        assert load_run(run.path)[0] == PLAN


@pytest.mark.parametrize("name", [*EVIDENCE, "verdict.json", "summary.md"])
def test_missing_file_is_found(run: RunDirectory, name: str) -> None:
    """A file that is gone is named."""
    (run.path / name).unlink()

    (problem,) = verify(run.path)

    assert problem.startswith(f"{name} is missing (the manifest has sha256 ")
    if name in EVIDENCE:
        assert problems(lambda: load_run(run.path)) == (f"{run.path}: {problem}",)


def test_added_file_is_found(run: RunDirectory) -> None:
    """A file that came after the seal is named, in folders too; hidden ones are no part of a run."""
    (run.path / "more").mkdir()
    (run.path / "more" / "notes.txt").write_text("promote it anyway")
    (run.path / ".lock").touch()

    assert verify(run.path) == ["more/notes.txt was added after the run was sealed (it is not in the manifest)"]


@pytest.mark.parametrize("content", ["", "{}", '{"schema": "canary-gate/manifest/9"}', "\ufeff", "[" * 100_000])
def test_broken_manifest(run: RunDirectory, content: str) -> None:
    """A manifest that is none is said to be none."""
    run.manifest.write_text(content)

    assert verify(run.path) == [f"{run.manifest} is broken, or another version wrote it"]


def test_manifest_that_leaves_evidence_out(run: RunDirectory) -> None:
    """Taking a file out of the manifest does not hide a change to it."""
    document = json.loads(run.manifest.read_bytes())
    del document["files"]["scores.jsonl"]
    run.manifest.write_text(json.dumps(document))

    told = "scores.jsonl was added after the run was sealed (it is not in the manifest)"
    assert verify(run.path) == [told]
    assert problems(lambda: load_run(run.path)) == (f"{run.path}: {told}",)


def test_forged_record_breaks_the_chain(runs: Path, run: RunDirectory) -> None:
    """Changing a run together with its manifest shows in the record sealed after it."""
    later = fill(new_run(runs, PLAN, PROMPTS, NOW + timedelta(hours=1)))
    seal(later)
    assert verify(run.path) == verify(later.path) == []

    run.write("verdict.json", '{"verdict": "rollback"}\n')
    run.manifest.unlink()
    seal(run)

    for path in (run.path, later.path):
        told = verify(path)
        assert any(f"record {run.path.name}, on which {later.path.name} was sealed" in problem for problem in told)


def test_removed_record_is_named(runs: Path, run: RunDirectory) -> None:
    """A run that was removed is named by the one sealed after it, which is itself as it was."""
    later = fill(new_run(runs, PLAN, PROMPTS, NOW + timedelta(hours=1)))
    seal(later)

    run.manifest.unlink()

    assert verify(later.path) == []
    (told,) = removed_neighbours(later.path)
    assert told.startswith(f"record {run.path.name} (sha256 ")
    assert told.endswith(f"), on which {later.path.name} was sealed, is no longer in this folder")


def test_seal_is_the_next_link(runs: Path, run: RunDirectory) -> None:
    """Sealing returns the sha256 by which the next record names this one."""
    later, last = (fill(new_run(runs, PLAN, PROMPTS, NOW + timedelta(hours=i))) for i in (1, 2))

    sealed = seal(later)
    seal(last)

    previous = json.loads(last.manifest.read_bytes())["previous"]
    assert previous == {"run": later.path.name, "sha256": sealed}
    assert json.loads(later.manifest.read_bytes())["previous"]["run"] == run.path.name


def test_runs_sealed_at_once_make_one_chain(runs: Path) -> None:
    """Processes that seal at the same time follow each other."""
    paths = [fill(new_run(runs, PLAN, PROMPTS, NOW)).path for _ in range(6)]
    script = (
        "import sys; from pathlib import Path; from canary.evidence import *; seal(RunDirectory(Path(sys.argv[1])))"
    )

    started = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for path in paths]

    assert [process.wait() for process in started] == [0] * 6
    assert verify(paths[0]) == []


def test_relative_path_finds_its_neighbours(runs: Path, run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain is found from inside the run too."""
    later = fill(new_run(runs, PLAN, PROMPTS, NOW))
    seal(later)
    run.manifest.unlink()
    monkeypatch.chdir(later.path)

    (told,) = removed_neighbours(Path())

    assert "is no longer in this folder" in told


def test_no_such_run(tmp_path: Path) -> None:
    """A path that is no directory is said to be none."""
    assert problems(lambda: load_run(tmp_path / "x")) == (f"{tmp_path / 'x'} is no directory",)
    assert verify(tmp_path / "x") == [f"{tmp_path / 'x'} is no directory"]
