"""What is sent to a cluster and what is not, and what its job does there."""

from __future__ import annotations

import io
import logging
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from canary.journal import Journal
from canary.run.submit import _entrypoint, _patiently
from tests.clusters import RECORDED, Canary, Scripted, scripted, workspace
from tests.test_run import Workspace, cut_off

__all__ = ["scripted", "workspace"]  # fixtures

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

LIVE = "engine: openai, model: m, base_url: 'http://127.0.0.1:9/v1'}"

UNGRADED = f"suite: s.yaml\nrunner: ray\nbaseline: {{name: v1, {LIVE}\ncandidate: {{name: v2, {LIVE}\n"
"""Of a suite with a case that has nothing to be held against."""


@pytest.mark.parametrize("patience_s", [60.0, 0.2])
def test_a_cluster_that_is_just_starting_is_waited_for(
    canary: Canary,
    scripted: Scripted,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    patience_s: float,
) -> None:
    """Nobody to run the job yet: asked again, said once; at last an error of one full stop. Ray's own log is silent."""
    monkeypatch.setattr(logging.getLogger("ray"), "propagate", True)
    caplog.set_level(logging.INFO, "ray")
    monkeypatch.setattr("canary.run.submit.AGAIN_S", 0.01)
    monkeypatch.setattr("canary.run.submit.STARTING_S", patience_s)
    never = patience_s < 1
    nobody = (500, "No available agent to submit job, please try again later.")
    started = [] if never else [(200, {"job_id": "j", "submission_id": "j"})]
    address = scripted({"POST /api/jobs/": [nobody, nobody, *started]})

    ran = canary("submit", "pipelines/p.yaml", "--no-wait", "--address", address)

    assert (ran.status, ran.out) == ((4, "") if never else (0, "j\n"))
    assert ran.err.splitlines()[0] == f"sending {workspace} to {address}"
    assert ran.err.count("still starting") == 1
    assert [record.getMessage() for record in caplog.records] == []
    assert logging.root.manager.disable == logging.NOTSET
    assert not never or ran.err.endswith("please try again later\n")


def test_patience_begins_with_the_first_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent before it may be large, and take longer than a cluster may take to start."""
    now, refusals, said = [0.0], [RuntimeError("No available agent to submit job")], io.StringIO()
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: None)
    monkeypatch.setattr("canary.run.submit.time", clock)

    def start() -> str:
        now[0] += 1000
        if refusals:
            raise refusals.pop()
        return "j"

    assert _patiently(start, said) == "j"
    assert said.getvalue() == "the cluster is still starting: waiting up to 60 s\n"


@pytest.mark.parametrize(
    ("pipeline", "text", "words"),
    [
        ("pipelines/p.yaml", RECORDED.replace("runner: ray", "runner: local"), "'runner' must be 'ray'"),
        ("../p.yaml", RECORDED, "must lie in the current folder"),
        ("pipelines/p.yaml", RECORDED.replace("suite: ..", "suite: nowhere"), "p.yaml:"),
        ("pipelines/p.yaml", UNGRADED, "nothing grades it"),
    ],
)
def test_mistakes_are_found_before_anything_is_sent(
    canary: Canary, workspace: Path, pipeline: str, text: str, words: str
) -> None:
    """What is wrong with the pipeline is said here, not on the cluster."""
    (workspace / pipeline).write_text(text)
    (workspace / "pipelines" / "s.yaml").write_text("golden_sets: [p.jsonl]\n")
    (workspace / "pipelines" / "p.jsonl").write_text('{"id": "a", "vars": {"prompt": "b"}}\n')

    ran = canary("submit", pipeline, "--address", "http://127.0.0.1:9")

    assert ran.status == 2
    assert words in ran.err


def test_what_cannot_be_gone_on_with_is_not_sent(canary: Canary, tmp_path: Path) -> None:
    """A run that is finished, a pipeline elsewhere, options that a run has decided, and nothing at all."""
    finished = Workspace(tmp_path, canary).run()
    (run,) = (tmp_path / "runs").iterdir()
    (tmp_path / "latest").symlink_to(run)
    again = ("submit", "--resume", run, "--address", "http://127.0.0.1:9")
    over = canary("submit", "--resume", tmp_path / "latest", "--address", "http://127.0.0.1:9")
    cut_off(run, lines=100)
    elsewhere = canary(*again)
    twice = canary(*again, "--stage", "staging", "--runs", tmp_path)
    none = canary("submit", "--resume", tmp_path, "--address", "http://127.0.0.1:9")
    nothing = canary("submit", "--address", "http://127.0.0.1:9")

    assert finished.status == 0
    assert [ran.status for ran in (over, elsewhere, twice, none, nothing)] == [2, 2, 2, 2, 2]
    assert nothing.err.startswith("canary: name the pipeline to submit")
    assert over.err.startswith(f"canary: {run} is finished; judge it again")
    assert "must lie in the current folder" in elsewhere.err
    assert twice.err.count("must not stand beside --resume") == 2
    assert "plan.json" in none.err


def test_a_run_that_is_being_written_is_not_sent(canary: Canary, workspace: Path) -> None:
    """Another process asks what the job would ask too."""
    pipeline = workspace / "pipelines" / "p.yaml"
    pipeline.write_text(RECORDED.replace("runner: ray", "runner: local"))
    canary("run", "pipelines/p.yaml", "--runs", "runs")
    (run,) = (path for path in (workspace / "runs").iterdir() if path.is_dir())
    cut_off(run, lines=100)
    pipeline.write_text(RECORDED)
    again = ("submit", "--resume", run, "--address", "http://127.0.0.1:9")

    with Journal.open(run / "responses.jsonl"):
        written = canary(*again)
    free = canary(*again)

    assert (written.status, "is writing this run" in written.err) == (2, True)
    assert (free.status, "does not answer" in free.err) == (4, True)


def job_in(folder: Path, python: str, entrypoint: str) -> subprocess.CompletedProcess[str]:
    """A job's shell as a cluster starts it, with a stand-in for what it calls."""
    (folder / "python").write_text(f"#!/bin/sh\n{python}\n")
    (folder / "python").chmod(0o755)
    known = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        ["/bin/sh", "-c", entrypoint], cwd=folder, env=known, capture_output=True, text=True, check=False
    )


def test_a_signal_ends_the_run_and_not_its_way_home(tmp_path: Path) -> None:
    """Whoever stops the job, also while it sends, is told the run's own status, and gets all of its answers."""
    ran = job_in(tmp_path, 'kill -TERM $PPID $$\necho "$@"', _entrypoint("canary-runs/1", ["p.yaml"]))

    assert (ran.returncode, ran.stdout) == (143, "-m canary.run.parcel send canary-runs/1\n")
    assert (tmp_path / "canary-runs" / "1").is_dir()


@pytest.mark.parametrize("status", [0, 1, 3])
def test_a_pipeline_may_be_called_anything(tmp_path: Path, status: int) -> None:
    """Spaces, quotes and what a shell would run reach the run as they are, and its status comes back."""
    name = 'it\'s $(touch x); "p" *.yaml'
    said = f'printf "%s\\n" "$@"\nexit {status}'

    ran = job_in(tmp_path, said, _entrypoint("canary-runs/1", [name], "true && "))

    assert ran.returncode == status
    assert ran.stdout.splitlines()[:4] == ["-m", "canary", "run", name]
    assert not (tmp_path / "x").exists()
