"""One open engine in an actor's process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from canary.engines import open_arms
from canary.errors import EngineError, GateError, MissingExtra
from canary.protocols import Generate, Observable, Request
from canary.records import Arm, Response
from canary.release import Release, TransformersRelease, VllmRelease
from canary.runners.drive import ask


class Host:
    """An engine in this process; `ray.remote` makes it an actor."""

    def __init__(self, releases: Mapping[Arm, Release], gpus: float) -> None:
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._releases = releases
        self._stack = AsyncExitStack()
        self._generate: Generate | None = None
        self._answering: set[asyncio.Task[Any] | None] = set()

    async def place(self) -> None:
        """Returns once there is a process to be in."""

    async def open(self) -> None:
        """Raises EngineError when the engine cannot come up."""
        _require_here(self._releases)
        try:
            self._generate = await self._stack.enter_async_context(open_arms(self._releases))
        except MissingExtra as error:  # its arguments do not survive the way to the driver
            raise GateError(str(error)) from None

    async def answer(self, request: Request) -> Response | None:
        """One answer."""
        if self._generate is None:
            raise EngineError(f"{request.arm} was asked before it was open")
        task = asyncio.current_task()
        self._answering.add(task)
        try:
            return await ask(self._generate, request)
        finally:
            self._answering.discard(task)

    async def observe(self) -> Mapping[str, float] | None:
        """How the engine's server is; None where it has none that says."""
        if not isinstance(self._generate, Observable):
            return None
        return (await self._generate.observe()).get(0, {})

    async def close(self) -> None:
        """Ends what the engine started, and answers that nobody waits for any more."""
        for task in filter(None, tuple(self._answering)):
            task.cancel()
        await self._stack.aclose()


def _require_here(releases: Mapping[Arm, Release]) -> None:
    """Raise EngineError for a folder that the driver's machine has and this one lacks; an engine would ask a hub."""
    for arm, release in releases.items():
        if not isinstance(release, TransformersRelease | VllmRelease):
            continue
        for place in (release.model, getattr(release, "lora", None)):
            if place is not None and Path(place).is_absolute() and not Path(place).exists():
                lacks = f"{arm} '{release.name}': {place} is not on the node {socket.gethostname()}"
                raise EngineError(f"{lacks}; folders of weights must be on storage that every node sees")
