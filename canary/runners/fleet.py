"""The replicas of one engine, an arm's or both arms': asked in turn, replaced when they die.

Which replica answers follows from how many requests each has in flight, so
work spreads evenly over equals and drains away from a slow or dead one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from canary.errors import CanaryError, EngineError, EngineLostError
from canary.located import printable
from canary.pipeline import RayRunner
from canary.protocols import Generate, Request
from canary.records import Arm, Response
from canary.release import Release
from canary.runners.drive import ArmLostError
from canary.runners.head import unwatched
from canary.runners.host import Host
from canary.runners.sample import PATIENCE_S, WAY_S
from canary.sharing import named

ROOM_S = 120.0
"""How long a replaced replica may wait for room, such as a node that comes up again."""
CLOSED_S = 30.0
"""How long an engine may take to close before its process is killed."""
OBSERVED_S = PATIENCE_S + WAY_S
DEATHS = 32
"""An engine that dies more often than this stops the run."""


@asynccontextmanager
async def hosted(runner: RayRunner, group: Any, releases: Mapping[Arm, Release]) -> AsyncIterator[Generate]:
    """Yields the answers of the arms given from processes of their own."""
    fleet = Fleet(releases, [Replica(runner, group, releases, number) for number in range(runner.replicas)])
    try:
        async with asyncio.TaskGroup() as opening:
            for replica in fleet.replicas:
                opening.create_task(replica.open())
        yield fleet
    finally:
        await fleet.close()


@dataclass(slots=True)
class Replica:
    """Where one replica lives: one actor at a time."""

    runner: RayRunner
    group: Any
    releases: Mapping[Arm, Release]
    number: int
    host: Any = None
    flight: int = 0
    """Requests it has not answered yet."""
    asked: int = 0
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)
    fate: CanaryError | None = None
    """Why it will not come back."""
    first: Request | None = None
    """What it was asked first, in the warm-up."""

    async def open(self) -> None:
        """Raises EngineError when it cannot come up."""
        import ray
        from ray.exceptions import RayError, RayTaskError
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        actor = ray.remote(
            num_cpus=self.runner.cpus_per_arm,
            num_gpus=self.runner.gpus_per_arm,
            max_concurrency=10_000,  # the window is the driver's
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                placement_group=self.group,
                placement_group_bundle_index=self._bundle(),
            ),
        )(Host)
        title = printable(f"canary {self} {secrets.token_hex(4)}")  # no two actors may share a name
        create = partial(actor.options(name=title).remote, self.releases, self.runner.gpus_per_arm)
        self.host = await asyncio.wrap_future(unwatched(create))
        try:
            await asyncio.wait_for(_result(self.host.place.remote()), ROOM_S)
            await self.host.open.remote()
        except TimeoutError:
            raise EngineError(f"{self} found no room to live in for {ROOM_S:g} s") from None
        except RayTaskError as error:
            raise _cause(error) from None
        except RayError as error:
            raise KilledError(f"{self} died while it came up: {error}") from error

    def _bundle(self) -> int:
        """Two engines' replicas take turns in the group; one engine has it to itself."""
        engines: int = self.group.bundle_count // self.runner.replicas
        return engines * self.number + (list(Arm).index(next(iter(self.releases))) if engines > 1 else 0)

    async def generate(self, request: Request) -> Response | None:
        """One answer; raises ArmLostError when the replica died under it."""
        from ray.exceptions import RayError, RayTaskError

        async with self.moving:
            host = self.host
        if self.fate is not None:
            raise ArmLostError(str(self.fate))
        self.first = self.first or request
        self.asked += 1
        self.flight += 1
        try:
            response: Response | None = await host.answer.remote(request)
        except RayTaskError as error:
            cause = _cause(error)
            if isinstance(cause, EngineLostError):
                raise ReplicaLostError(self, host, cause) from error
            raise cause from None
        except RayError as error:
            raise ReplicaLostError(self, host, error) from error
        finally:
            self.flight -= 1
        return response

    async def observe(self) -> Mapping[str, float] | None:
        """How its server is: nothing where it does not say in time, None where it has no server that could."""
        if self.moving.locked() or self.fate is not None:
            return {}
        try:
            seen: Mapping[str, float] | None = await asyncio.wait_for(_result(self.host.observe.remote()), OBSERVED_S)
        except Exception:  # noqa: BLE001 - whatever it is, it is not worth a run
            return {}
        return seen

    async def move(self, dead: Any) -> None:
        """A new actor in the place of a dead one; once, however many miss it."""
        async with self.moving:
            if self.host is not dead:
                return
            try:
                await self._open_again()
            except CanaryError as error:
                self.fate = error
                return
            with suppress(Exception):  # should it die of that, whoever asks it next will see
                await self.host.answer.remote(self.first)  # a cold start is no latency of the release

    async def _open_again(self) -> None:
        """Twice, should whatever killed the one before kill this one while it comes up."""
        self.kill()
        with suppress(KilledError):
            await self.open()
            return
        self.kill()
        await self.open()

    async def close(self) -> None:
        """Ends the engine and its process."""
        from ray.exceptions import RayError

        if self.host is None:
            return
        with suppress(RayError, TimeoutError):
            if self.fate is None:
                await asyncio.wait_for(_result(self.host.close.remote()), CLOSED_S)
        self.kill()

    def kill(self) -> None:
        """Ends the process at once."""
        import ray

        ray.kill(self.host)

    def __str__(self) -> str:
        """As messages name it."""
        which = f" (replica {self.number + 1} of {self.runner.replicas})" if self.runner.replicas > 1 else ""
        return f"{named(self.releases)}{which}"


class KilledError(EngineError):
    """A replica's process died while it came up, of nothing that its engine said."""


class ReplicaLostError(ArmLostError):
    """A replica died under a request."""

    def __init__(self, replica: Replica, host: Any, error: Exception) -> None:
        said = str(error) if isinstance(error, EngineLostError) else str(error).partition("\n")[0]
        super().__init__(f"the arm's process died: {said}")
        self.replica, self.host, self.error = replica, host, error


@dataclass(slots=True)
class Fleet:
    """An arm, or both, as one thing to ask."""

    releases: Mapping[Arm, Release]
    replicas: list[Replica]
    lost: list[Any] = field(default_factory=list)
    """Actors that were missed."""
    moves: set[asyncio.Task[None]] = field(default_factory=set)

    async def __call__(self, request: Request) -> Response | None:
        """One answer of the replica that has the least to do.

        Raises ArmLostError when it died under the request: the pair moves to
        another one while this one is replaced.
        """
        try:
            return await self._choose().generate(request)
        except ReplicaLostError as lost:
            self._replace(lost)
            raise

    async def observe(self) -> Mapping[int, Mapping[str, float]]:
        """See `protocols.Observable`."""
        seen = await asyncio.gather(*(replica.observe() for replica in self.replicas))
        return {
            replica.number: values for replica, values in zip(self.replicas, seen, strict=True) if values is not None
        }

    def _choose(self) -> Replica:
        """The least busy replica that is up, else one that will be."""
        able = [replica for replica in self.replicas if replica.fate is None]
        if not able:
            raise self.replicas[-1].fate or EngineError(f"{named(self.releases)}: no replica is left")
        up = [replica for replica in able if not replica.moving.locked()]
        return min(up or able, key=lambda replica: (replica.flight, replica.asked))

    def _replace(self, lost: ReplicaLostError) -> None:
        if any(host is lost.host for host in self.lost):
            return
        self.lost.append(lost.host)
        if len(self.lost) > DEATHS:
            raise EngineError(f"{named(self.releases)} died {len(self.lost)} times, at last: {lost.error}") from None
        self._start(lost.replica.move(lost.host))

    def _start(self, move: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(move)
        self.moves.add(task)
        task.add_done_callback(self.moves.discard)

    async def close(self) -> None:
        """Ends all of them at once; those that are coming up have nothing that would have to be closed."""
        coming = [replica for replica in self.replicas if replica.moving.locked()]
        for task in tuple(self.moves):
            task.cancel()
        for replica in coming:
            replica.kill()
        await asyncio.gather(*(replica.close() for replica in self.replicas if replica not in coming))


async def _result(reference: Any) -> Any:
    """Waiting for an answer of Ray as a coroutine, which a deadline can end."""
    return await reference


def _cause(error: Any) -> Exception:
    """What was raised in the actor, without the wrapping."""
    return error.cause if isinstance(error.cause, Exception) else EngineError(str(error))
