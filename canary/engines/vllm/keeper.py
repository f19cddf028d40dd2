"""Runs a command that must not outlive its owner, nor leave anything behind.

    python -m canary.engines.vllm.keeper FOLDER COMMAND...

The owner holds the other end of standard input. When it closes, because the
owner is done or was killed in any way, or when the command ends by itself,
everything that the command started is ended. Orphans are adopted (Linux), so
a process that left the command's group is found too. The owner's folder is
removed only where the owner is dead: a living one reads the log in it.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

GRACE_S = 8.0
"""How long a server may take to end by itself before it is killed."""
_STEP_S = 0.2
_SUBREAPER, _DEATH_SIGNAL = 36, 1
"""PR_SET_CHILD_SUBREAPER and PR_SET_PDEATHSIG of prctl(2)."""


def main(folder: str, command: Sequence[str]) -> int:
    """Keep one command, whose owner has a folder for it; its exit status.

    The owner's own child only waits: a worker of Ray kills its children as it
    ends, and the one that kept the command would end nothing any more.
    """
    owner = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the owner ends us, by closing our input
    keeper = os.fork()
    if keeper:
        return os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])
    return _keep(folder, command, owner)


def _keep(folder: str, command: Sequence[str], owner: int) -> int:
    _control(_SUBREAPER, 1)
    try:
        server = subprocess.Popen(  # noqa: S603 - the command is the user's own
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_prepare,  # noqa: PLW1509 - there is one thread
        )
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        return 127
    try:
        while server.poll() is None and not _is_left():
            pass
    finally:
        _end(server)
        if not _is_alive(owner):
            shutil.rmtree(folder, ignore_errors=True)
    return server.returncode


def _is_alive(pid: int) -> bool:
    """Whether there is such a process, which does not only wait to be counted."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except ProcessLookupError:
        return False
    except OSError:  # not ours, or nothing here says more of it
        return True


def _control(option: int, value: int) -> None:
    """prctl(2); where there is none the command's group is all that can be ended."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _prepare() -> None:
    """In the command's process: signals as usual, and none of it without a keeper."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    _control(_DEATH_SIGNAL, signal.SIGKILL)


def _is_left() -> bool:
    """Whether the owner has closed our input; waits a moment to see."""
    readable, _, _ = select.select([0], [], [], _STEP_S)
    return bool(readable) and not os.read(0, 4096)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ask, wait, then kill, until nothing is left."""
    _signal_all(server.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(GRACE_S)
    for _ in range(50):
        _signal_all(server.pid, signal.SIGKILL)
        server.poll()
        if not _reap():
            return


def _signal_all(group: int, number: int) -> None:
    """The command's group, and whoever left it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
    for pid in _descendants(os.getpid()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _descendants(pid: int) -> list[int]:
    """Every process below one, the nearest first."""
    found: list[int] = []
    with suppress(OSError):
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            children = [int(child) for child in listed.read_text().split()]
            found += children
            found += [below for child in children for below in _descendants(child)]
    return found


def _reap() -> bool:
    """Whether there is still a child; waits a moment for one to end."""
    with suppress(ChildProcessError):
        for _ in range(10):
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                select.select([], [], [], _STEP_S / 10)
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
