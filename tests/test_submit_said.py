"""What a cluster says of a job, by a dashboard that only has the words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from canary.evidence import RunDirectory, seal
from canary.run.parcel import pack
from canary.run.submit import Returned
from tests.clusters import Answers, Canary, Scripted, scripted, workspace
from tests.run.test_parcel import entry, parcel
from tests.test_run import Workspace

__all__ = ["scripted", "workspace"]  # fixtures

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_a_cluster_that_is_not_there(canary: Canary, workspace: Path) -> None:
    """One sentence with the address, exit 4."""
    pytest.importorskip("ray")

    ran = canary("submit", "pipelines/p.yaml", "--address", "http://127.0.0.1:9")

    assert ran.status == 4
    assert ran.err.count("\n") == 1
    assert "the cluster at http://127.0.0.1:9 does not answer" in ran.err


@pytest.mark.parametrize("said", [(401, "Unauthorized: Missing authentication token"), (403, "Forbidden: Invalid")])
def test_without_the_token_the_error_says_how_it_is_given(
    canary: Canary, scripted: Scripted, said: tuple[int, str]
) -> None:
    """A missing token and a wrong one: one line, exit 4."""
    ran = canary("fetch", "raysubmit_1", "--address", scripted({"GET /api/version": [said]}))

    assert (ran.status, ran.err.count("\n")) == (4, 1)
    assert f"{said[1]}; it wants its token: set RAY_AUTH_MODE=token" in ran.err


@pytest.mark.parametrize("job", ["raysubmit_1", "", "."])
def test_a_job_that_nobody_knows(canary: Canary, scripted: Scripted, job: str) -> None:
    """The id is a mistake of whoever gave it, also one that names the list of all jobs."""
    address = scripted(
        {"GET /api/jobs/raysubmit_1": [(404, "Job raysubmit_1 does not exist")], "GET /api/jobs/": [(200, [])]}
    )

    ran = canary("fetch", job, "--address", address)

    assert (ran.status, ran.err) == (2, f"canary: no job '{job}' at {address}\n")


def ended(**details: Any) -> Answers:
    """A dashboard's word on a job that failed."""
    job = {"type": "SUBMISSION", "submission_id": "j", "status": "FAILED", "entrypoint": "x"}
    return {"GET /api/jobs/j": [(200, job | details)]}


def test_what_a_job_without_a_verdict_said_last_is_shown(canary: Canary, scripted: Scripted, tmp_path: Path) -> None:
    """The log's end, cut and printable; what carries a run home is not for people."""
    log = "\n".join([*map(str, range(30)), "y" * 9999, "\x1b[31mMissingExtra", *parcel("r", entry("plan.json")), ""])
    logs = {"GET /api/jobs/j/logs": [(200, {"logs": log})]}

    ran = canary("fetch", "j", "--address", scripted(ended(driver_exit_code=4) | logs), "--runs", tmp_path / "runs")

    assert ran.status == 4
    run, first, *lines = ran.err.splitlines()
    kept = tmp_path / "runs" / "r"
    assert run.startswith(
        f"run: {kept} (it was cut off: canary run --resume {kept}, or canary submit --resume {kept} -"
    )
    assert first == "canary: job j ended without a verdict (exit 4); it said last:"
    assert lines == [*(f"  {number}" for number in range(17, 30)), "  " + "y" * 400, "  \\x1b[31mMissingExtra"]


def test_a_run_that_cannot_be_put_here_is_no_fault_of_the_cluster(
    canary: Canary, scripted: Scripted, tmp_path: Path
) -> None:
    """The path is named, and not the address."""
    logs = {"GET /api/jobs/j/logs": [(200, {"logs": "\n".join(parcel("r", entry("plan.json")))})]}
    (tmp_path / "file").touch()

    ran = canary("fetch", "j", "--address", scripted(ended(driver_exit_code=4) | logs), "--runs", tmp_path / "file")

    assert (ran.status, ran.err) == (2, f"canary: {tmp_path / 'file'}: File exists\n")


@pytest.mark.parametrize(("said", "shown"), [('{"verdict": "rollback"}', "'rollback'"), ("{", "None"), ("[]", "None")])
def test_a_verdict_that_its_evidence_does_not_give(
    canary: Canary, scripted: Scripted, tmp_path: Path, said: str, shown: str
) -> None:
    """What came back is judged here: a cluster that says something else of it is an error, not a verdict."""
    workspace = Workspace(tmp_path, canary)
    assert workspace.run().status == 0
    (run,) = workspace.runs
    (run / "verdict.json").write_text(said)
    (run / "manifest.json").unlink()
    seal(RunDirectory(run))
    logs = {"GET /api/jobs/j/logs": [(200, {"logs": "\n".join(pack(run))})]}
    address = scripted(ended(driver_exit_code=1) | logs)

    ran = canary("fetch", "j", "--address", address, "--runs", tmp_path / "back")

    assert ran.status == 2
    assert f"/back/{run.name}: verdict.json says {shown}, its evidence says 'promote'\n" in ran.err


def test_a_job_that_never_had_a_log(canary: Canary, scripted: Scripted) -> None:
    """One that could not be started: the cluster's own words."""
    logs = {"GET /api/jobs/j/logs": [(200, {"logs": ""})]}

    ran = canary("fetch", "j", "--address", scripted(ended(message="runtime_env setup failed\nno space") | logs))

    assert ran.status == 4
    assert ran.err.endswith("it said last:\n  runtime_env setup failed\n  no space\n")


@pytest.mark.parametrize(("ended", "status"), [(0, 4), (1, 4), (2, 2), (3, 4), (127, 4), (130, 130)])
def test_a_job_without_a_verdict_is_no_rollback(
    canary: Canary, monkeypatch: pytest.MonkeyPatch, ended: int, status: int
) -> None:
    """1 and 3 say what was decided, so a job that ended with them before it decided is one that broke."""
    monkeypatch.setattr(
        "canary.run.submit.fetch", lambda job, **_: Returned(job=job, run=None, judged=None, status=ended)
    )

    assert canary("fetch", "raysubmit_1").status == status
