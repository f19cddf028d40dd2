"""A pipeline on a cluster that was started apart, and what comes back."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from canary.evidence import RunDirectory, check_files, seal
from canary.journal import Journal
from canary.run.parcel import pack
from canary.run.submit import Returned, _entrypoint, _patiently
from tests.run.test_parcel import entry, parcel
from tests.runners import actors
from tests.runners.test_chaos import Endpoint, asked, command, endpoint, run_of, slowly
from tests.test_run import Workspace, cut_off

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

ROOT = Path(__file__).resolve().parents[1]
Canary = Callable[..., Any]
RECORDED = (ROOT / "pipelines" / "recorded.yaml").read_text().replace("runner: local", "runner: ray")

LIVE = "engine: openai, model: m, base_url: 'http://127.0.0.1:9/v1'}"
UNGRADED = f"suite: s.yaml\nrunner: ray\nbaseline: {{name: v1, {LIVE}\ncandidate: {{name: v2, {LIVE}\n"
"""Of a suite with a case that has nothing to be held against."""

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5ca1ab1e" * 8}
"""What a cluster and those who use it are told, where it wants a token."""


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of a head node that wants no token, whatever an earlier Ray left on this machine."""
    with head_node(RAY_AUTH_MODE="disabled") as address:
        yield address


@contextmanager
def head_node(**environment: str) -> Iterator[str]:
    """The address of a head node in processes of its own, once it takes jobs."""
    pytest.importorskip("ray")
    port, dashboard, agent = actors.free_ports(3)
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # pytest's are too long for sockets in them
    binaries = Path(sys.executable).parent
    command = [
        str(binaries / "ray"), "start", "--head", "--block", "--num-cpus=2",
        "--disable-usage-stats", f"--port={port}", f"--dashboard-port={dashboard}",
        f"--dashboard-agent-listen-port={agent}", "--object-store-memory=100000000", f"--temp-dir={folder}",
    ]  # fmt: skip
    known = os.environ | {"RAY_DISABLE_MEMORY_MONITOR": "1", "PATH": f"{binaries}:{os.environ['PATH']}"}
    known["RAY_JOB_STOP_WAIT_TIME_S"] = "300"  # a stopped job's answers are sent home before it counts as stopped
    with (folder / "out").open("wb") as out:
        node = subprocess.Popen(command, stdout=out, stderr=out, env=known | environment, start_new_session=True)
    try:
        for _ in range(600):
            if listens(dashboard) and listens(agent):
                break
            assert node.poll() is None, (folder / "out").read_text()
            subprocess.run(["sleep", "0.5"], check=True)
        else:
            pytest.fail((folder / "out").read_text())
        yield f"http://127.0.0.1:{dashboard}"
    finally:
        node.terminate()
        node.wait(120)
        shutil.rmtree(folder, ignore_errors=True)


def apart(*argv: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own: Ray reads how to show a token when it is loaded, and never again."""
    return subprocess.run(
        [sys.executable, "-m", "canary", *argv],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def listens(port: int) -> bool:
    """Whether somebody answers on this machine's port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped recorded pipeline, on Ray, in a folder of its own."""
    for folder in ("evals", "golden_sets"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "pipelines").mkdir()
    shutil.copytree(ROOT / "pipelines" / "recorded", tmp_path / "pipelines" / "recorded")
    (tmp_path / "pipelines" / "p.yaml").write_text(RECORDED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


def test_a_cluster_that_is_not_there(canary: Canary, workspace: Path) -> None:
    """One sentence with the address, exit 4."""
    pytest.importorskip("ray")

    ran = canary("submit", "pipelines/p.yaml", "--address", "http://127.0.0.1:9")

    assert ran.status == 4
    assert ran.err.count("\n") == 1
    assert "the cluster at http://127.0.0.1:9 does not answer" in ran.err


Answers = dict[str, list[tuple[int, Any]]]
Scripted = Callable[[Answers], str]


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A dashboard that answers each request from a list, the last one for ever: no cluster, only its words."""
    ray = pytest.importorskip("ray")
    servers: list[ThreadingHTTPServer] = []

    def serve(answers: Answers) -> str:
        known = {"GET /api/version": [(200, {"ray_version": ray.__version__, "version": "4"})]} | answers

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                found = known.get(f"{self.command} {self.path}", [(200, {})])
                status, body = found.pop(0) if len(found) > 1 else found[0]
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


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


@pytest.mark.parametrize(("ended", "status"), [(0, 4), (1, 4), (2, 2), (3, 4), (127, 4), (130, 130)])
def test_a_job_without_a_verdict_is_no_rollback(
    canary: Canary, monkeypatch: pytest.MonkeyPatch, ended: int, status: int
) -> None:
    """1 and 3 say what was decided, so a job that ended with them before it decided is one that broke."""
    monkeypatch.setattr(
        "canary.run.submit.fetch", lambda job, **_: Returned(job=job, run=None, judged=None, status=ended)
    )

    assert canary("fetch", "raysubmit_1").status == status
