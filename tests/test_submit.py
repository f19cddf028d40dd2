"""A pipeline on a cluster that was started apart, and what comes back."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from canary.evidence import check_files
from tests.clusters import RECORDED, TOKEN, Canary, apart, head_node, workspace
from tests.runners import actors
from tests.runners.test_chaos import Endpoint, asked, command, endpoint, run_of, slowly

__all__ = ["workspace"]  # fixture

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of a head node that wants no token, whatever an earlier Ray left on this machine."""
    with head_node(RAY_AUTH_MODE="disabled") as address:
        yield address


@pytest.mark.slow
def test_a_submitted_run_comes_back_as_if_it_had_been_here(canary: Canary, workspace: Path, head: str) -> None:
    """Exit status, verdict and a sealed run directory; what the cluster logs is shown, the parcel is not."""
    here = canary("run", "pipelines/p.yaml", "--runs", "here", "--json")

    there = canary("submit", "pipelines/p.yaml", "--address", head, "--json")
    again = canary("submit", "pipelines/p.yaml", "--address", head, "--json", "--runs", "again")

    assert there.status == here.status, there.err
    assert again.status == here.status, again.err  # Ray gives both jobs one working directory
    assert there.verdict == again.verdict == here.verdict
    assert "@canary-run" not in there.err
    assert "run: canary-runs/" in there.err  # what the job itself said
    (run,) = (workspace / "runs").iterdir()
    assert check_files(run) == []


@pytest.mark.slow
def test_a_cluster_that_wants_its_token() -> None:
    """The error says how it is given."""
    with head_node(**TOKEN) as address:
        ran = apart("fetch", "raysubmit_1", "--address", address, RAY_AUTH_MODE="disabled")

    assert (ran.returncode, ran.stderr.count("\n")) == (4, 1)
    assert "it wants its token: set RAY_AUTH_MODE=token" in ran.stderr


@pytest.mark.slow
def test_a_run_may_be_fetched_later_and_once(canary: Canary, workspace: Path, head: str) -> None:
    """`--no-wait` prints the id; a second copy of a run does not overwrite the first."""
    submitted = canary("submit", "pipelines/p.yaml", "--address", head, "--no-wait")
    job = submitted.out.strip()

    running = canary("fetch", job, "--address", head)
    for _ in range(600):
        fetched = canary("fetch", job, "--address", head, "--json")
        if "has not ended" not in fetched.err:
            break
        subprocess.run(["sleep", "0.5"], check=True)
    again = canary("fetch", job, "--address", head)

    assert submitted.status == 0
    assert (running.status, "has not ended" in running.err) == (2, True)
    assert fetched.verdict["verdict"] in {"promote", "hold", "rollback"}
    assert (again.status, "is there already" in again.err) == (2, True)
    assert [path.name for path in workspace.iterdir()].count("runs") == 1


@contextmanager
def asking(folder: Path) -> Iterator[tuple[Endpoint, Path]]:
    """An endpoint and the pipeline, of 300 cases, that asks it for both arms."""
    with endpoint() as server:
        asks = {"engine": "openai", "model": "m", "base_url": server.url, "api_key": "sk-x"}
        yield server, actors.workspace(folder, asks, count=300, concurrency=8, policy=actors.wide(folder))


@pytest.mark.slow
def test_a_job_whose_driver_is_killed_leaves_what_was_answered(
    canary: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """No orphan on the cluster; the run comes back with the line that goes on with it, and asks nothing twice."""
    monkeypatch.chdir(tmp_path)
    with asking(tmp_path) as (server, asks):
        pipeline = asks.rename("killed.yaml")
        server.at[120] = lambda: slowly(server, kill_driver)
        there = canary("submit", pipeline, "--address", head)
        server.pause_s = 0.0
        (run,) = re.findall(r"^run: (\S+) \(it was cut off: canary run --resume \1, ", there.err, re.MULTILINE)
        kept = asked(tmp_path)
        actors.until(lambda: "ALIVE" not in states(head))
        resumed = command(tmp_path, "--resume", run, "--json")
        out, said = resumed.communicate(timeout=actors.HANGS_S)

    assert there.status == 4
    assert "ended without a verdict (exit 137)" in there.err
    assert 80 <= len(kept) < 600
    assert resumed.returncode == 0, said
    assert json.loads(out)["verdict"] == "promote"
    assert asked(tmp_path) == {(str(n), arm): 1 for n in range(300) for arm in ("baseline", "candidate")}


@pytest.mark.slow
def test_a_stopped_job_s_answers_come_home_and_another_job_goes_on_with_them(
    canary: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """Whoever stops a job loses nothing; the next one asks no pair again, and puts the whole run in its place."""
    monkeypatch.chdir(tmp_path)
    with asking(tmp_path) as (server, pipeline):
        server.at[120] = lambda: slowly(server, lambda: stop_jobs(head))
        stopped = canary("submit", pipeline.name, "--address", head)
        server.pause_s = 0.0
        kept = (run_of(tmp_path) / "responses.jsonl").read_bytes()
        resumed = canary("submit", "--resume", run_of(tmp_path), "--address", head, "--json")

    assert stopped.status == 4
    assert f"or canary submit --resume runs/{run_of(tmp_path).name} --address {head})" in stopped.err
    assert 80 <= len(kept.splitlines()) < 600
    assert resumed.status == 0, resumed.err
    assert (run_of(tmp_path) / "responses.jsonl").read_bytes().startswith(kept)
    assert asked(tmp_path) == {(str(n), arm): 1 for n in range(300) for arm in ("baseline", "candidate")}
    assert check_files(run_of(tmp_path)) == []


def stop_jobs(head: str) -> None:
    """As `ray job stop` does, whatever runs."""
    with urllib.request.urlopen(f"{head}/api/jobs/", timeout=60) as answer:
        running = [one["submission_id"] for one in json.load(answer) if one["status"] == "RUNNING"]
    for job in running:
        urllib.request.urlopen(urllib.request.Request(f"{head}/api/jobs/{job}/stop", method="POST"), timeout=60).close()


def kill_driver() -> None:
    """Ends the process of the submitted run as the kernel does where memory is short."""
    for process in psutil.process_iter(["cmdline"]):
        told = process.info["cmdline"] or []
        if told[:1] != ["/bin/sh"] and "killed.yaml" in told and "--runs" in told:
            process.kill()


def states(head: str) -> set[str]:
    """The states of all actors that were ever on a cluster."""
    with urllib.request.urlopen(f"{head}/api/v0/actors", timeout=120) as answer:
        rows = json.load(answer)["data"]["result"]["result"]
    return {row["state"] for row in rows}


@pytest.mark.slow
def test_a_job_that_breaks_says_so(canary: Canary, workspace: Path, head: str) -> None:
    """A run that cannot come up on the cluster ends as it would here, with its reason shown, then and later."""
    pipeline = workspace / "pipelines" / "p.yaml"
    pipeline.write_text(RECORDED.replace("runner: ray", "runner: {type: ray, cpus_per_arm: 64}"))

    ran = canary("submit", "pipelines/p.yaml", "--address", head)

    assert ran.status == 4
    assert "found no room for two arms" in ran.err
    assert "ended without a verdict (exit 4); its log says why" in ran.err

    (job,) = re.findall(r"^job: (\S+)", ran.err, re.MULTILINE)
    later = canary("fetch", job, "--address", head, "--runs", "elsewhere")
    nobody = canary("fetch", f"{job}x", "--address", head)

    assert later.status == 4
    assert "found no room for two arms" in later.err.partition("it said last:")[2]
    assert (nobody.status, nobody.err) == (2, f"canary: no job '{job}x' at {head}\n")
