"""Processes of a run are ended while it runs, as a user's command sees it: exit status, journal, what is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

import canary
from tests.runners.actors import HANGS_S, STOPS, WIDE, free_ports, until, wide, workspace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS = ROOT / "pipelines" / "checkpoints"
QUICK = """
import signal
from canary.cli import entry
from canary.runners import head

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test in the background hands on that it ignores it
head.AWAY_S = 4.0
entry()
"""
"""The command line, with less patience than people need."""


def command(folder: Path, *arguments: object, before: str = "", **environment: str) -> subprocess.Popen[str]:
    """`canary run ...` in a process of its own, as from a terminal; other code may come before it."""
    known = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.Popen(
        [sys.executable, "-c", before + QUICK, "run", *map(str, arguments)],
        cwd=folder,
        env=known | {"PYTHONPATH": str(Path(canary.__file__).parents[1]), "RAY_AUTH_MODE": "disabled"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_of(folder: Path) -> Path:
    """The only run directory."""
    (run,) = (folder / "runs").glob("2*")
    return run


def asked(folder: Path) -> Counter[tuple[str, str]]:
    """How often each case of each arm stands in the journal."""
    lines = (run_of(folder) / "responses.jsonl").read_text().splitlines()
    return Counter((row["id"], row["arm"]) for row in map(json.loads, lines))


def written(folder: Path, count: int) -> Callable[[], bool]:
    """Whether so many answers are in the journal."""
    return lambda: any(len(path.read_bytes().splitlines()) >= count for path in folder.glob("runs/2*/responses.jsonl"))


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All that a command started, but Ray's agents: without their node they end by themselves, after a minute."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # what has ended meanwhile is not left
            found += [] if one.name().startswith(("ray::DashboardA", "ray::RuntimeEnv")) else [one]
    return found


def require_gone(processes: list[psutil.Process]) -> None:
    """None of them outlives its command for long."""
    _, alive = psutil.wait_procs(processes, timeout=HANGS_S)

    left = []
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            left += [] if process.status() == psutil.STATUS_ZOMBIE else [process.name()]
    assert left == []


@dataclass
class Endpoint:
    """Speaks the protocol of OpenAI; is asked so often, and can be told what happens then."""

    url: str = ""
    pause_s: float = 0.05
    status: int = 200
    hangs: bool = False
    asked: int = 0
    at: dict[int, Callable[[], object]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self) -> None:
        """One more request."""
        with self.lock:
            self.asked += 1
            happens = self.at.get(self.asked)
        if happens is not None:
            happens()


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """A scripted server; it says nothing about speed."""
    made = Endpoint()

    class Server(ThreadingHTTPServer):
        block_on_close = False
        request_queue_size = 128  # a call that finds no room is made again after a second or three

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            made.count()
            time.sleep(60 if made.hangs else made.pause_s)
            if made.status != 200:
                self.send_error(made.status)
                return
            documents = (
                {"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]},
                {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
            )
            lines = [f"data: {json.dumps(document)}\n\n" for document in documents]
            body = "".join([*lines, "data: [DONE]\n\n"]).encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        yield made
        server.shutdown()


@contextmanager
def head(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A head node in processes of its own, and its port."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # pytest's are too long for sockets in them
    (port,) = free_ports(1)
    told = [
        "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats", f"--port={port}",
        "--include-dashboard=false", "--object-store-memory=100000000", f"--temp-dir={folder}",
        *options,
    ]  # fmt: skip
    known = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_DISABLE_MEMORY_MONITOR": "1"} | environment
    with (folder / "out").open("wb") as out:
        ray = Path(sys.executable).parent / "ray"
        node = subprocess.Popen([str(ray), *told], stdout=out, stderr=out, env=known)
    try:
        until(lambda: "Ray runtime started" in (folder / "out").read_text())
        yield node, port
    finally:
        node.terminate()
        node.wait(HANGS_S)
        shutil.rmtree(folder)


def openai(server: Endpoint, **fields: Any) -> dict[str, Any]:
    """A release at that server."""
    return {"engine": "openai", "model": "m", "base_url": server.url, "api_key": "sk-x", **fields}


def spoil(servers: list[Endpoint], how: dict[str, Any]) -> None:
    """All of them at once."""
    for server in servers:
        vars(server).update(how)


def slowly(server: Endpoint, end: Callable[[], None]) -> None:
    """Ends what asks the server, which answers late from there on: to end it may take longer than all of its cases."""
    server.pause_s = 10.0
    end()


@pytest.mark.parametrize(
    ("arms", "spoilt", "status", "said"),
    [
        ({"candidate"}, {"status": 500}, 1, "HTTP 500"),
        ({"candidate"}, {"hangs": True}, 1, "no complete answer within 1 s"),
        ({"baseline", "candidate"}, {"status": 500}, 3, "HTTP 500"),
    ],
)
def test_a_server_that_goes_bad_in_the_middle(
    tmp_path: Path, canary: Callable[..., Any], arms: set[str], spoilt: dict[str, Any], status: int, said: str
) -> None:
    """The candidate's is rolled back for its errors, of which each is kept; where both fail nothing is known."""
    with endpoint() as baseline, endpoint() as candidate:
        servers = {"baseline": baseline, "candidate": candidate}
        for arm in arms:
            servers[arm].at[60] = partial(spoil, [servers[arm] for arm in arms], spoilt)
        baseline.pause_s = candidate.pause_s = 0.0
        releases = {arm: {"name": arm} | openai(server) for arm, server in servers.items()}
        for arm in arms if "hangs" in spoilt else ():
            releases[arm]["timeout_s"] = 1  # the other one may take its time
        at_once = 8 if len(arms) == 1 else 1  # or a pair that only one of them answered would be one of many
        pipeline = workspace(
            tmp_path, {}, count=120, runner="local", concurrency=at_once, policy=wide(tmp_path), **releases
        )
        ran = canary("run", pipeline, "--runs", tmp_path / "runs", "--no-early-stop", "--json")

    assert ran.status == status, ran.err
    assert (ran.signal("errors/server")["status"] == "fail") == (status == 1)
    assert set(asked(tmp_path).values()) == {1}
    rows = [json.loads(line) for line in (run_of(tmp_path) / "responses.jsonl").read_text().splitlines()]
    errors = [row for row in rows if row.get("error")]
    assert len(rows) == 240
    assert {row["arm"] for row in errors if said in row["error"]["message"]} == arms
    assert len(errors) > 30 * len(arms)


def test_a_driver_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """It takes its whole Ray along; resumed, one checkpoint against itself is as good and as fast.

    The margins allow for a machine on which other tests run.
    """
    pytest.importorskip("ray")
    release = {
        "engine": "transformers", "model": str(CHECKPOINTS / "baseline"), "device": "cpu", "threads": 1,
        "sampling": {"max_tokens": 24},
    }  # fmt: skip
    quality = {"metrics": {"similar": {"tier": "advisory"}}}
    policy = {"version": 1, "quality": quality, "latency": {"ttft": WIDE, "itl": WIDE}}
    (tmp_path / "policy.yaml").write_text(json.dumps(policy))
    pipeline = workspace(tmp_path, release, count=0, policy="policy.yaml")
    lines = (ROOT / "golden_sets" / "quickstart" / "prompts.jsonl").read_text().splitlines(keepends=True)[::5]
    (tmp_path / "prompts.jsonl").write_text("".join(lines))
    stops = STOPS.format(module="canary.journal", name="Journal", at=20)
    driver = command(tmp_path, pipeline, "--runs", "runs", "--no-early-stop", before=stops)
    until(written(tmp_path, 40))
    left = family(driver)
    driver.kill()
    driver.communicate()
    require_gone(left)
    before = asked(tmp_path)

    resumed = command(tmp_path, "--resume", run_of(tmp_path), "--json")
    out, said = resumed.communicate(timeout=HANGS_S)

    assert len(before) == 40
    assert len(left) > 4
    assert resumed.returncode == 0, said + out
    assert asked(tmp_path) == {(json.loads(line)["id"], arm): 1 for line in lines for arm in ("baseline", "candidate")}
    signals = {one["name"]: one["status"] for one in json.loads(out)["signals"] if one["tier"] == "blocking"}
    assert signals.keys() >= {f"latency/{time}/{rule}" for time in ("ttft", "itl") for rule in ("tm95", "tm99", "slow")}
    assert set(signals.values()) == {"pass"}


OTHER_VERSION = """
import json, sys, ray
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put
ray.init(address=sys.argv[1], log_to_driver=False)
said = json.loads(_internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster"))
_internal_kv_put(b"CLUSTER_METADATA", json.dumps(said | {"ray_version": "1.2.3"}), namespace=b"cluster")
"""
"""Has a cluster say that it was started by another Ray."""


def test_a_cluster_that_is_not_for_us(tmp_path: Path) -> None:
    """One that wants a token, and one of another version, are one sentence each and exit 4."""
    pytest.importorskip("ray")
    pipeline = workspace(tmp_path, {"engine": "transformers", "model": str(CHECKPOINTS / "baseline")}, count=1)
    token = {"RAY_AUTH_TOKEN": "5ca1ab1e" * 8}
    with head(RAY_AUTH_MODE="token", **token) as (_, port):
        address = f"127.0.0.1:{port}"
        without = command(tmp_path, pipeline, RAY_ADDRESS=address).communicate(timeout=HANGS_S)
        known = os.environ | {"RAY_AUTH_MODE": "token"} | token
        subprocess.run([sys.executable, "-c", OTHER_VERSION, address], env=known, check=True, capture_output=True)
        other = command(tmp_path, pipeline, RAY_ADDRESS=address, RAY_AUTH_MODE="token", **token)
        _, said = other.communicate(timeout=HANGS_S)

    assert without[1].splitlines()[-1].endswith("; it wants its token: set RAY_AUTH_MODE=token")
    assert other.returncode == 4
    assert f"canary: runner 'ray' cannot reach Ray at '{address}': Version mismatch: " in said.splitlines()[-1]
    assert "1.2.3" in said.splitlines()[-1]
