"""A real MLflow server, one for all tests of this folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.jsonl import write_jsonl

Canary = Callable[..., Any]
START_S = 600
PATIENCE_S = 120
"""Seconds for one answer: a machine that has other things to do is no dead server."""


@contextlib.contextmanager
def reserved() -> Iterator[int]:
    """A port that no other program is given meanwhile; a server that reuses addresses may listen on it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@dataclass(slots=True)
class Server:
    """One server process on a store, and its REST API."""

    store: str
    artifacts: Path
    url: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with reserved() as port:
            self._start(port)

    def _start(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        command += ["--backend-store-uri", self.store, "--artifacts-destination", str(self.artifacts)]
        quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=quiet,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health", timeout=PATIENCE_S).status_code == 200:
                    return
            if self.process.poll() is not None:
                raise RuntimeError(f"the MLflow server ended with {self.process.returncode}: {self.store}")
            time.sleep(0.2)
        raise TimeoutError(f"no MLflow server after {START_S} s")

    def kill(self) -> None:
        """As `kill -9` would, with its workers."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def ask(self, path: str, /, **body: Any) -> Any:
        """One call of the REST API, as any other program would make it."""
        answer = httpx.post(f"{self.url}/api/{path}", json=body, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str, /, **parameters: Any) -> Any:
        """One look at the REST API."""
        answer = httpx.get(f"{self.url}/{path}", params=parameters, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        return answer.json() if path.startswith("api/") else answer.text

    def experiment(self, name: str) -> str:
        """The id of an experiment."""
        return str(
            self.get("api/2.0/mlflow/experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"]
        )

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The runs of an experiment, with their tags and metrics as mappings."""
        found = self.ask("2.0/mlflow/runs/search", experiment_ids=[self.experiment(name)]).get("runs", [])
        for run in found:
            for kind in ("tags", "metrics", "params"):
                run[kind] = {item["key"]: item["value"] for item in run["data"].get(kind, [])}
        return list(found)

    def gates(self, name: str) -> list[dict[str, Any]]:
        """The runs of verdicts."""
        return [run for run in self.runs(name) if "gate.record_sha256" in run["tags"]]

    def arms(self, name: str, gate: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The runs below a verdict's, by arm."""
        below = [r for r in self.runs(name) if r["tags"].get("mlflow.parentRunId") == gate["info"]["run_id"]]
        assert len(below) == len({r["tags"]["gate.arm"] for r in below})
        return {run["tags"]["gate.arm"]: run for run in below}

    def traces(self, name: str) -> list[dict[str, Any]]:
        """Every trace of an experiment."""
        where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self.experiment(name)}}
        found = self.ask("3.0/mlflow/traces/search", locations=[where], max_results=500)
        return list(found.get("traces", []))

    def alias(self, name: str, alias: str) -> str | None:
        """The version an alias of a registered model points at."""
        path = "api/2.0/mlflow/registered-models/alias"
        answer = httpx.get(f"{self.url}/{path}", params={"name": name, "alias": alias}, timeout=PATIENCE_S)
        return str(answer.json()["model_version"]["version"]) if answer.status_code == 200 else None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over SQLite; each test has an experiment and names of its own."""
    pytest.importorskip("mlflow", reason="no MLflow: pip install 'canary-gate[mlflow]'")
    folder = tmp_path_factory.mktemp("mlflow")
    started = Server(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    try:
        started.start()
        yield started
    finally:
        started.kill()


@pytest.fixture(autouse=True)
def _no_server_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test may write to a server that the environment names, nor into the repository, nor give up early."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(PATIENCE_S))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)


@dataclass(slots=True)
class Desk:
    """Where runs are made."""

    folder: Path
    canary: Canary
    count: int = field(default=0)

    def write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        """Write a JSONL file."""
        return write_jsonl(self.folder / name, rows)

    def run(self, *, wrong: int = 0, name: str = "v2", before: str = "v1", cases: int = 220, **more: Any) -> Path:
        """A run of recorded answers, of which the candidate fails so many; sealed, with its place in the history."""
        self.count += 1
        golden = [
            {"id": f"c{i}", "vars": {"q": f"{i}?"}, "expected": "x", "metadata": {"stratum": "ab"[i % 2]}}
            for i in range(cases)
        ]
        self.write("prompts.jsonl", golden)
        (self.folder / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\n")
        for release, misses in ((before, 0), (name, wrong)):
            answers = [{"id": f"c{i}", "output": f"no {release}" if i < misses else "x"} for i in range(cases)]
            self.write(f"{release}.jsonl", [row | {"session": release} for row in answers])
        pipeline = {
            "suite": "suite.yaml",
            "baseline": {"name": before, "engine": "replay", "responses": f"{before}.jsonl"},
            "candidate": {"name": name, "engine": "replay", "responses": f"{name}.jsonl"},
            **more,
        }
        (self.folder / "p.yaml").write_text(json.dumps(pipeline))
        there = set(self.folder.glob("runs/*"))
        ran = self.canary("run", self.folder / "p.yaml", "--runs", self.folder / "runs", "--fail-on", "never")
        assert ran.status == 0, ran.err
        (path,) = set(self.folder.glob("runs/*")) - there
        return path


@pytest.fixture
def desk(tmp_path: Path, canary: Canary) -> Desk:
    """An empty folder to make runs in."""
    return Desk(tmp_path, canary)


class Cut:
    """A line to a server that is dead after so many requests, or holds them back until it is released."""

    def __init__(self, server: Server, after: int, *, holds: bool = False) -> None:
        self.left = after
        self.holds = holds
        self.is_spent, self.is_released = threading.Event(), threading.Event()
        self.target = int(server.url.rpartition(":")[2])
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self.target)) as far:
            threading.Thread(target=self._back, args=(far, near), daemon=True).start()
            while data := near.recv(1 << 16):
                if data.split(b" ", 1)[0] in {b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"}:
                    with self.lock:
                        self.left -= 1
                if self.left < 0:
                    self.is_spent.set()
                    if not self.holds:
                        return
                    self.is_released.wait()
                far.sendall(data)

    @staticmethod
    def _back(far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                near.sendall(data)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut for good."""
        self.left, self.holds = -1, False
        self.is_released.set()
        self.socket.close()
