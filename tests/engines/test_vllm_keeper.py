"""Nothing that a server started outlives its owner, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SERVER = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in sys.argv else signal.SIG_DFL)
child = subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
"""A server whose worker leaves its session, as engines' workers do."""

OWNER = """
import subprocess, sys, time
folder, server = sys.argv[1:]
keeper = subprocess.Popen([sys.executable, "-m", "canary.engines.vllm.keeper", folder, sys.executable, "-c", server],
                          stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""

KILLS = """
import os, signal
sys.stdin.read()
for pid in map(int, open(f"/proc/self/task/{os.getpid()}/children").read().split()):
    os.kill(pid, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""
"""How such an owner ends, once nobody holds its input."""


def keeper(*command: str, folder: Path = Path("/nonexistent")) -> subprocess.Popen[bytes]:
    """A keeper whose input this test holds."""
    return subprocess.Popen(
        [sys.executable, "-m", "canary.engines.vllm.keeper", str(folder), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def is_gone(pid: int) -> bool:
    """Whether a process has ended, or only waits to be counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def until(done: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.05)
    return done()


def started(kept: subprocess.Popen[bytes]) -> list[int]:
    """The server's process and its worker's."""
    assert kept.stdout is not None
    return [int(pid) for pid in kept.stdout.readline().split()]


@pytest.mark.parametrize("manner", ["", "stubborn"])
def test_closing_the_input_ends_everything(tmp_path: Path, manner: str) -> None:
    """A server that will not hear is killed, and the worker that left its session too; the folder is the owner's."""
    kept = keeper(sys.executable, "-c", SERVER, manner, folder=tmp_path)
    pids = started(kept)
    assert len(pids) == 2

    kept.communicate()

    assert until(lambda: all(map(is_gone, pids)))
    assert tmp_path.is_dir()


def test_a_killed_owner_leaves_nothing(tmp_path: Path) -> None:
    """`kill -9` of the owner closes the pipe: the keeper needs no other word, and removes the owner's folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "log").write_text("it said")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), SERVER],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    pids = started(owner)

    owner.kill()
    owner.wait()

    assert until(lambda: all(map(is_gone, pids)))
    assert until(lambda: not folder.exists())
    assert owner.stdout is not None
    owner.stdout.close()


def test_an_owner_that_kills_its_children_first_leaves_nothing(tmp_path: Path) -> None:
    """As a worker of Ray does while it ends: whoever keeps the server is not among them."""
    folder = tmp_path / "folder"
    folder.mkdir()
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.replace("time.sleep(600)\n", KILLS), str(folder), SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    pids = started(owner)

    owner.communicate(timeout=120)

    assert owner.returncode == -signal.SIGKILL
    assert until(lambda: all(map(is_gone, pids)))
    assert until(lambda: not folder.exists())


def test_interrupts_are_the_owner_s_to_answer() -> None:
    """Control-C twice, or a polite kill, does not end a keeper before its server."""
    kept = keeper(sys.executable, "-c", SERVER)
    pids = started(kept)

    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        kept.send_signal(number)
        time.sleep(0.1)

    assert kept.poll() is None
    assert not any(map(is_gone, pids))
    kept.communicate()
    assert until(lambda: all(map(is_gone, pids)))


def test_a_server_that_ends_takes_its_workers_along() -> None:
    """A dead server's workers would hold its memory; its status is the keeper's."""
    kept = keeper(sys.executable, "-c", SERVER.replace("time.sleep(600)\n", "sys.exit(3)\n"))
    pids = started(kept)

    assert kept.wait(120) == 3
    assert until(lambda: all(map(is_gone, pids)))
    kept.communicate()


def test_a_command_that_cannot_start_is_said() -> None:
    """An interpreter that is not there is one sentence."""
    kept = keeper("/nonexistent/python")
    _, said = kept.communicate()

    assert said.decode() == "cannot start /nonexistent/python: No such file or directory\n"
    assert kept.returncode == 127
