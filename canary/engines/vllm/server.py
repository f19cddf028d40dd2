"""One vLLM server: brought up, watched while it comes up, and never left behind."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from canary.engines.vllm.arguments import MODULE, arguments, interpreter
from canary.errors import EngineError, EngineLostError
from canary.release import VllmRelease

if TYPE_CHECKING:
    from asyncio.subprocess import Process

HOST = "127.0.0.1"
_POLL_S = 0.25
_POLL_TIMEOUT_S = 2.0
_CLOSE_S = 20.0
"""More than the keeper's grace: it ends by itself, and kills what does not."""
_GOING_S = 10.0
"""How long a server that is dying may take to be gone: its own grace, and the keeper's work."""
_ENGINE_DEAD = 503
"""What `/health` answers once the process that computes is dead."""
LAST_LINES = 12
LONGEST_LINE = 300
_TAKEN = re.compile(r"address already in use", re.IGNORECASE)
_PREFIX = re.compile(r"^(\(\S+ pid=\d+\) )?((DEBUG|INFO|WARNING|ERROR) [\d-]+ [\d:]+ \[[^]]*\] )?")
"""What vLLM puts before a line: whose it is, when, and where in its code."""
_FRAME = re.compile(r"^\s*$|^[^a-zA-Z]*$")
_WRONG = re.compile(r"([\w.]+(Error|Exception|Interrupt|Exit)\b|\S+: error):? ")
"""The last line of a traceback, or a complaint of the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers."""

    who: str
    """As messages name it."""
    origin: str
    """Like `http://127.0.0.1:40123`."""
    started_s: float
    """Seconds from its start to its first sign of health."""
    key: str = field(repr=False)
    """Opens this server and no other, so that no request is ever answered by somebody else on its port."""
    keeper: Process = field(repr=False)
    log: Path

    async def require(self, client: aiohttp.ClientSession) -> None:
        """Raise EngineLostError where its process has ended, or says that its engine has.

        A server that only does not answer in time is left to the requests' own
        deadlines: it may be busy.
        """
        deadline = asyncio.get_running_loop().time() + _GOING_S
        while self.keeper.returncode is None and asyncio.get_running_loop().time() < deadline:
            try:
                async with client.get(f"{self.origin}/health") as said:
                    if said.status != _ENGINE_DEAD:
                        return
                    break
            except TimeoutError:
                return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(_POLL_S)
        status = self.keeper.returncode
        ended = "is dead" if status is None else f"ended with status {status}"
        raise EngineLostError(f"{self.who}: the vLLM server {ended}; it said last:\n{_tail(self.log)}")


@asynccontextmanager
async def serving(release: VllmRelease, who: str) -> AsyncIterator[Server]:
    """A server of the release on a free port of this machine; `who` it answers for, as messages say it.

    Ends every process it started, however the body ends, and so does the
    death of this process. Raises EngineError with the server's own last words
    when it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="canary-vllm-") as folder:
        log = Path(folder) / "log"
        key = secrets.token_hex(16)
        process, origin, started_s = await _brought_up(release, who, log, key)
        try:
            yield Server(who=who, origin=origin, started_s=started_s, key=key, keeper=process, log=log)
        finally:
            await _ended(process)


class _TakenError(EngineError):
    """Somebody else answers where the server was to."""


async def _brought_up(release: VllmRelease, who: str, log: Path, key: str) -> tuple[Process, str, float]:
    """Twice, should somebody take the port between our look and the server's."""
    try:
        try:
            return await _tried(release, log, key)
        except EngineError as error:
            if not (isinstance(error, _TakenError) or _TAKEN.search(_tail(log))):
                raise
            return await _tried(release, log, key)
    except EngineError as error:
        raise EngineError(f"{who}: {error}") from None


async def _tried(release: VllmRelease, log: Path, key: str) -> tuple[Process, str, float]:
    """A server that is up, where, and how long that took; none is left behind where it does not come up."""
    port = _free_port()
    began = asyncio.get_running_loop().time()
    process = await _started(release, port, log, key)
    origin = f"http://{HOST}:{port}"
    try:
        await _healthy(process, origin, release, log, key)
    except BaseException:
        await _ended(process)
        raise
    return process, origin, asyncio.get_running_loop().time() - began


async def _started(release: VllmRelease, port: int, log: Path, key: str) -> Process:
    server = [interpreter(release), "-m", MODULE, *arguments(release), "--host", HOST, "--port", str(port)]
    keeper = [sys.executable, "-m", "canary.engines.vllm.keeper", str(log.parent), *server]
    with log.open("wb") as out:
        return await asyncio.create_subprocess_exec(
            *keeper,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            env=os.environ
            | _importable()
            | {"VLLM_RPC_BASE_PATH": str(log.parent)}
            | release.env
            | {"VLLM_API_KEY": key},
            start_new_session=True,
        )


def _importable() -> dict[str, str]:
    """The keeper is this package's, wherever it was imported from."""
    here = str(Path(__file__).resolve().parents[3])
    known = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": here if known is None else f"{here}{os.pathsep}{known}"}


async def _healthy(process: Process, origin: str, release: VllmRelease, log: Path, key: str) -> None:
    """Returns once the server answers; raises EngineError when it ends or takes too long."""
    deadline = asyncio.get_running_loop().time() + release.start_timeout_s
    anew = aiohttp.TCPConnector(force_close=True)  # vLLM shares its port: each connection may reach another server
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_POLL_TIMEOUT_S), connector=anew) as client:
        while asyncio.get_running_loop().time() < deadline:
            if process.returncode is not None:
                raise EngineError(
                    f"the vLLM server ended with status {process.returncode}; it said last:\n{_tail(log)}"
                )
            with suppress(aiohttp.ClientError, TimeoutError):
                async with client.get(f"{origin}/health") as said:
                    is_up = said.ok
                if is_up:
                    await _require_own(client, origin, key)
                    return
            await asyncio.sleep(_POLL_S)
    raise EngineError(
        f"the vLLM server was not up within 'start_timeout_s' of {release.start_timeout_s:g} s; "
        f"it said last:\n{_tail(log)}"
    )


async def _require_own(client: aiohttp.ClientSession, origin: str, key: str) -> None:
    """Raise _TakenError for a server that lets in whoever comes, or not us: it is somebody else's."""
    for headers, wanted in (({}, 401), ({"Authorization": f"Bearer {key}"}, 200)):
        async with client.get(f"{origin}/v1/models", headers=headers) as said:
            if said.status != wanted:
                raise _TakenError(f"another server answers at {origin}, whose port was free just before")


async def _ended(process: Process) -> None:
    """Lets the keeper end everything; kills it should it not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _CLOSE_S)
    except TimeoutError:  # pragma: no cover - a keeper that hangs
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(log: Path) -> str:
    """What the server said was wrong, last; else its last lines, without the frames of a traceback."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 262_144))
        lines = file.read().decode(errors="replace").splitlines()
    telling = [_PREFIX.sub("", line).strip()[:LONGEST_LINE] for line in lines if not _FRAME.search(line)]
    wrong = [line for line in telling if _WRONG.match(line)]
    chosen = dict.fromkeys((wrong or telling)[-LAST_LINES:])
    return "\n".join(f"  {line}" for line in chosen) or "  (nothing)"
