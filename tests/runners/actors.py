"""What the tests of arms in actors ask, write and look for."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from canary.pipeline import Pipeline
from canary.protocols import Answers, Pair, Request
from canary.records import Arm, Response
from canary.release import Release
from canary.runners import fleet
from tests.jsonl import write_jsonl

SHIPPED = Path(__file__).resolve().parents[2] / "pipelines" / "checkpoints" / "baseline"


@dataclass
class Written:
    """What a runner wrote; is itself the `write` that takes it."""

    rows: list[tuple[Pair, Answers]] = field(default_factory=list)
    on_write: Callable[[int], None] = field(default=lambda count: None)
    """Called after each pair with how many there are."""

    def __call__(self, pair: Pair, answers: Answers) -> None:
        """One pair."""
        self.rows.append((pair, answers))
        self.on_write(len(self.rows))

    @property
    def outputs(self) -> dict[str, tuple[str | None, ...]]:
        """Both outputs by case, from however many times it was written."""
        assert set(Counter(pair.key[0] for pair, _ in self.rows).values()) <= {1}
        return {pair.key[0]: tuple(a.output if a else None for a in answers) for pair, answers in self.rows}

    @property
    def errors(self) -> set[str]:
        """Every error, with its case and arm."""
        answers = [answer for _, both in self.rows for answer in both if answer]
        return {f"{one.id} {one.arm} {one.error.kind}: {one.error.message}" for one in answers if one.error}


def ask(number: int, arm: Arm, text: str) -> Request:
    """One arm's request."""
    return Request(id=str(number), arm=arm, repeat=0, messages=None, text=text, seed=0)


def pair(number: int, text: str) -> Pair:
    """One case; the arms are sent first in turn."""
    base, cand = (ask(number, arm, text) for arm in Arm)
    return Pair(baseline=base, candidate=cand, first=list(Arm)[number % 2])


def pairs(count: int) -> Iterator[Pair]:
    """So many cases."""
    return (pair(number, f"w1 w2 w{number}") for number in range(count))


def pipeline(baseline: dict[str, Any], candidate: dict[str, Any], **fields: Any) -> Pipeline:
    """Two releases under Ray."""
    arms = {"baseline": {"name": "v1"} | baseline, "candidate": {"name": "v2"} | candidate}
    return Pipeline.model_validate({"suite": "s", "runner": "ray", **arms} | fields)


def recorded(folder: Path, count: int, **fields: Any) -> Pipeline:
    """As many recorded answers in both arms: "baseline 0", "candidate 0", ..."""
    for arm in Arm:
        lines = (json.dumps({"id": number, "output": f"{arm} {number}"}) + "\n" for number in range(count))
        (folder / f"{arm}.jsonl").write_text("".join(lines))
    releases = [{"engine": "replay", "responses": str(folder / f"{arm}.jsonl")} for arm in Arm]
    return pipeline(*releases, **fields)


STOPS = """
import os, signal
from {module} import {name}

append, count = {name}.append, 0

def stopping(*arguments):
    global count
    append(*arguments)
    count += 1
    if count == {at}:
        os.kill(os.getpid(), signal.SIGSTOP)

{name}.append = stopping
"""
"""Has a process stop when it has appended so much: it is as far then as it is to be, however fast it is."""
HANGS_S = 900.0
"""Seconds after which what is waited for is taken to hang, whatever else the machine does."""
WIDE = {"tm95": {"floor_s": 9}, "tm99": {"floor_s": 9}, "slow": {"threshold_s": 20}}
"""Margins of a latency that a busy machine does not overstep."""


def wide(folder: Path) -> str:
    """A policy for tests of other things than time, which another process on the machine may take from one arm."""
    (folder / "policy.yaml").write_text(json.dumps({"version": 1, "latency": {"ttft": WIDE}}))
    return "policy.yaml"


def workspace(folder: Path, release: dict[str, Any], *, count: int, **pipeline: Any) -> Path:
    """A pipeline that asks both arms of one release so many cases."""
    arms = {arm: {"name": arm} | release for arm in ("baseline", "candidate")}
    documents: dict[str, Any] = {
        "suite": {"golden_sets": ["prompts.jsonl"]},
        "pipeline": {"suite": "suite.yaml", "runner": {"type": "ray", "cpus_per_arm": 0.5}, "concurrency": 2}
        | arms
        | pipeline,
    }
    for name, document in documents.items():
        (folder / f"{name}.yaml").write_text(json.dumps(document))
    cases = ({"id": str(n), "vars": {"prompt": f"add: {n}+1\nsum:"}, "expected": "yes"} for n in range(count))
    write_jsonl(folder / "prompts.jsonl", cases)
    return folder / "pipeline.yaml"


def hosts() -> list[int]:
    """Processes of this test's own arms."""
    return actors("Host")


def actors(kind: str) -> list[int]:
    """Processes of this test's own Ray, its children's children, that are actors of a class."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = (entry / "cmdline").read_bytes()
            if told.startswith(f"ray::{kind}".encode()) and parent(parent(entry.name)) == os.getpid():
                found.append(int(entry.name))
    return sorted(found)


def kill_hosts() -> None:
    """Both arms at once."""
    for pid in hosts():
        os.kill(pid, signal.SIGKILL)


def parent(pid: int | str) -> int:
    """The process that started a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextmanager
def watched(on_ask: Callable[[], None] = lambda: None) -> Iterator[list[fleet.Fleet]]:
    """Yields the fleets that are made meanwhile; calls back before each request that one is given."""
    made: list[fleet.Fleet] = []

    class Watched(fleet.Fleet):
        async def __call__(self, request: Request) -> Response | None:
            on_ask()
            return await super().__call__(request)

    def making(releases: Mapping[Arm, Release], replicas: list[fleet.Replica]) -> fleet.Fleet:
        made.append(Watched(releases, replicas))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet, "Fleet", making)
        yield made


def asked_of(fleets: list[fleet.Fleet]) -> dict[str, list[int]]:
    """How many requests each replica of each arm was given so far."""
    return {"+".join(one.releases): [replica.asked for replica in one.replicas] for one in fleets}


def until(done: Callable[[], bool]) -> None:
    """Waits for it."""
    end = time.monotonic() + HANGS_S
    while not done():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def gone(found: Callable[[], Sized]) -> bool:
    """Whether nothing is found any more, soon."""
    end = time.monotonic() + 60
    while found() and time.monotonic() < end:
        time.sleep(0.05)
    return not found()


def free_ports(count: int) -> set[int]:
    """Ports nobody listens on, of those that no program is given unasked: they are free still when servers are up."""
    found = set[int]()
    while len(found) < count:
        port = secrets.randbelow(12_000) + 20_000
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.add(port)
    return found


def kill_asker(port: int) -> None:
    """The arm whose request came from this port, and no other: how late it is seen is no matter then."""
    for pid in hosts():
        with suppress(psutil.Error):
            if any(each.laddr.port == port for each in psutil.Process(pid).net_connections("tcp") if each.laddr):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def served() -> Iterator[str]:
    """An endpoint that tells whether it was shown the right key, and kills whoever asks with poison."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if b"poison" in body:
                kill_asker(self.client_address[1])
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            right = self.headers["authorization"] == "Bearer sk-secret"
            delta = {"content": "the right key" if right else "another key"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1}
            for document in (
                {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {"choices": [], "usage": usage},
            ):
                self.wfile.write(b"data: " + json.dumps(document).encode() + b"\n\n")
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def stand_in(folder: Path) -> dict[str, Any]:
    """A release whose server only speaks as vLLM's does."""
    python = folder / "python"
    server = Path(__file__).parents[1] / "engines" / "recorded" / "server.py"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {server} "$@"\n')
    python.chmod(0o755)
    return {"engine": "vllm", "model": str(SHIPPED), "python": str(python), "api": "completions"}


def servers(release: dict[str, Any]) -> list[int]:
    """Processes of this release's servers, without their keepers."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = (entry / "cmdline").read_bytes()
            if b"recorded/server.py" in told and b"keeper" not in told and release["model"].encode() in told:
                found.append(int(entry.name))
    return sorted(found)
