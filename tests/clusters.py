"""Clusters: one that is started apart, and one that is only a dashboard with its words."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.runners import actors

ROOT = Path(__file__).resolve().parents[1]

Canary = Callable[..., Any]

RECORDED = (ROOT / "pipelines" / "recorded.yaml").read_text().replace("runner: local", "runner: ray")

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5ca1ab1e" * 8}
"""What a cluster and those who use it are told, where it wants a token."""


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
        node.wait(actors.HANGS_S)
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
