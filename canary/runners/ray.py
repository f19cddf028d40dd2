"""Each arm in a process of its own, as two actors of a Ray program.

The driver here keeps the window of pairs and calls `write`; an actor holds
one open engine. An actor that dies is replaced by a new one.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from canary.engines import open_engine
from canary.errors import EngineError, GateError, MissingExtra
from canary.plan import Pipeline, RayRunner, Release
from canary.protocols import Answers, Generate, Pair, Request
from canary.records import Arm, Response
from canary.runners.drive import ArmLostError, ask, drive

OBJECT_STORE_BYTES = 256 * 2**20
"""Answers are text: Ray's default, a third of the memory, is far too much."""
REACHED_S = 10.0
"""How long a cluster's address may take to answer."""
PLACED_S = 60.0
"""How long a busy cluster may take to find room for both arms."""
CLOSED_S = 30.0
"""How long an engine may take to close before its process is killed."""
DEATHS = 32
"""An arm that dies more often than this stops the run."""


def run(pipeline: Pipeline, pairs: Iterable[Pair | None], write: Callable[[Pair, Answers], None]) -> None:
    """See `protocols.Runner`."""
    runner = pipeline.runner if isinstance(pipeline.runner, RayRunner) else RayRunner(type="ray")
    with _cluster(runner), _placed(runner) as group:
        drive(partial(_hosted, runner, group), pipeline, pairs, write)


class Host:
    """An engine in this process; `ray.remote` makes it an actor."""

    def __init__(self, release: Release, arm: Arm, gpus: float) -> None:
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._release, self._arm = release, arm
        self._stack = AsyncExitStack()
        self._generate: Generate | None = None
        self._answering: set[asyncio.Task[Any] | None] = set()

    async def open(self) -> None:
        """Raises EngineError when the engine cannot come up."""
        try:
            self._generate = await self._stack.enter_async_context(open_engine(self._release, self._arm))
        except MissingExtra as error:  # its arguments do not survive the way to the driver
            raise GateError(str(error)) from None

    async def answer(self, request: Request) -> Response | None:
        """One answer."""
        if self._generate is None:
            raise EngineError(f"{self._arm} was asked before it was open")
        task = asyncio.current_task()
        self._answering.add(task)
        try:
            return await ask(self._generate, request)
        finally:
            self._answering.discard(task)

    async def close(self) -> None:
        """Ends what the engine started, and answers that nobody waits for any more."""
        for task in filter(None, tuple(self._answering)):
            task.cancel()
        await self._stack.aclose()


@contextmanager
def _cluster(runner: RayRunner) -> Iterator[None]:
    """A connection to Ray; ends only what it began."""
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # or Ray ships the working directory
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtra("runner 'ray'", "ray") from error
    if ray.is_initialized():
        yield
        return
    address = runner.address or os.environ.get("RAY_ADDRESS") or "local"
    try:
        _require_listener(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **_machine(runner, address))
    except (OSError, RuntimeError, ValueError) as error:
        raise EngineError(f"runner 'ray' cannot reach Ray at '{address}': {error}") from error
    try:
        with redirect_stdout(sys.stderr):  # where Ray tells of processes that died
            yield
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raise OSError where nothing listens: Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), REACHED_S).close()


def _machine(runner: RayRunner, address: str) -> dict[str, Any]:
    """The size of a Ray that starts here; a running one has its own."""
    if address != "local":
        return {}
    return {
        "num_cpus": max(os.cpu_count() or 1, math.ceil(2 * runner.cpus_per_arm)),
        "num_gpus": None if runner.gpus_per_arm else 0,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }


@contextmanager
def _placed(runner: RayRunner) -> Iterator[Any]:
    """Room for both arms at once: one alone would wait for ever."""
    import ray
    from ray.util import placement_group, remove_placement_group

    room = {"CPU": runner.cpus_per_arm} | ({"GPU": runner.gpus_per_arm} if runner.gpus_per_arm else {})
    short = [name for name, each in room.items() if ray.cluster_resources().get(name, 0) < 2 * each]
    group = placement_group([room, room], strategy="PACK")
    try:
        if (short and not runner.address) or not group.wait(PLACED_S):
            has = {name: ray.cluster_resources().get(name, 0) for name in room}
            raise EngineError(f"runner 'ray' found no room for two arms of {room}: the cluster has {has}")
        yield group
    finally:
        remove_placement_group(group)


@asynccontextmanager
async def _hosted(runner: RayRunner, group: Any, release: Release, arm: Arm) -> AsyncIterator[Generate]:
    """Yields an arm's answers from its own process."""
    home = _Home(runner, group, release, arm)
    try:
        await home.open()
        yield home.generate
    finally:
        await home.close()


@dataclass(slots=True)
class _Home:
    """Where an arm lives: one actor at a time."""

    runner: RayRunner
    group: Any
    release: Release
    arm: Arm
    host: Any = None
    deaths: int = 0
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def open(self) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        actor = ray.remote(
            num_cpus=self.runner.cpus_per_arm,
            num_gpus=self.runner.gpus_per_arm,
            max_concurrency=10_000,  # the window is the driver's
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                placement_group=self.group, placement_group_bundle_index=list(Arm).index(self.arm)
            ),
        )(Host)
        self.host = actor.remote(self.release, self.arm, self.runner.gpus_per_arm)
        try:
            await self.host.open.remote()
        except RayTaskError as error:
            raise _cause(error) from None
        except RayError as error:
            raise EngineError(f"{self.arm} '{self.release.name}' died while it came up: {error}") from error

    async def generate(self, request: Request) -> Response | None:
        from ray.exceptions import RayError, RayTaskError

        async with self.moving:
            host = self.host
        try:
            response: Response | None = await host.answer.remote(request)
        except RayTaskError as error:
            raise _cause(error) from None
        except RayError as error:
            await self._move(host, error)
            raise ArmLostError(f"the arm's process died: {_first_line(error)}") from error
        return response

    async def _move(self, dead: Any, error: Exception) -> None:
        """A new actor in the place of a dead one; once, however many miss it."""
        async with self.moving:
            if self.host is not dead:
                return
            self.deaths += 1
            if self.deaths > DEATHS:
                raise EngineError(f"{self.arm} '{self.release.name}' died {self.deaths} times, at last: {error}")
            self._kill()
            await self.open()

    async def close(self) -> None:
        from ray.exceptions import RayError

        if self.host is not None:
            with suppress(RayError, TimeoutError):
                await asyncio.wait_for(self.host.close.remote(), CLOSED_S)
            self._kill()

    def _kill(self) -> None:
        import ray

        ray.kill(self.host)


def _cause(error: Any) -> Exception:
    """What was raised in the actor, without the wrapping."""
    return error.cause if isinstance(error.cause, Exception) else EngineError(str(error))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
