"""Each arm in processes of its own, as actors of a Ray program.

The driver here keeps the window of pairs and calls `write`; an actor holds
one open engine, a replica of its arm (`runners.fleet`).
"""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from typing import Any

from canary.errors import EngineError, MissingExtra
from canary.located import printable
from canary.pipeline import Pipeline, RayRunner
from canary.protocols import Note, Pair, Write, unnoted
from canary.records import Arm
from canary.runners.drive import drive
from canary.runners.fleet import hosted
from canary.runners.head import RECONNECT_S, watched
from canary.runners.metrics import metered

OBJECT_STORE_BYTES = 256 * 2**20
"""Answers are text: Ray's default, a third of the memory, is far too much."""
REACHED_S = 10.0
"""How long a cluster's address may take to answer."""
KEPT = "what both arms answered is kept: canary run --resume RUN"
PLACED_S = 60.0
"""How long a busy cluster may take to find room for both arms."""


def run(
    pipeline: Pipeline,
    pairs: Iterable[Pair | None],
    write: Write,
    note: Note = unnoted,
) -> None:
    """See `protocols.Runner`."""
    runner = pipeline.runner if isinstance(pipeline.runner, RayRunner) else RayRunner(type="ray")
    with (
        cluster(runner, job_metadata(pipeline)),
        _placed(runner, pipeline) as group,
        metered(pipeline, write) as counting,
    ):
        drive(partial(hosted, runner, group), pipeline, pairs, counting, note, watched(*head_of(runner), KEPT))


def job_metadata(pipeline: Pipeline) -> dict[str, str]:
    """What Ray's dashboard shows of the job."""
    told = {"canary-gate": f"{pipeline.baseline.name} -> {pipeline.candidate.name}", "suite": pipeline.suite}
    return {key: printable(value) for key, value in told.items()}


@contextmanager
def cluster(runner: RayRunner, metadata: Mapping[str, str] | None = None) -> Iterator[None]:
    """A connection to Ray; ends only what it began."""
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # or Ray ships the working directory
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(RECONNECT_S))
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtra("runner 'ray'", "ray") from error
    if ray.is_initialized():
        yield
        return
    _connect(runner, metadata or {})
    try:
        with redirect_stdout(sys.stderr):  # where Ray tells of processes that died
            yield
    finally:
        ray.shutdown()


def _connect(runner: RayRunner, metadata: Mapping[str, str]) -> None:
    """Raises EngineError where there is no Ray at the address, or none that takes us."""
    import ray

    address = _address(runner)
    try:
        _require_listener(address)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            job_config=ray.job_config.JobConfig(metadata=dict(metadata)),
            **_machine(runner, address),
        )
    except (OSError, RuntimeError, ValueError) as error:
        wants = "; it wants its token: set RAY_AUTH_MODE=token" if "InvalidAuthToken" in str(error.__cause__) else ""
        said = " ".join(str(error).split())
        raise EngineError(f"runner 'ray' cannot reach Ray at '{address}': {said}{wants}") from error


def _address(runner: RayRunner) -> str:
    return runner.address or os.environ.get("RAY_ADDRESS") or "local"


def _require_listener(address: str) -> None:
    """Raise OSError where nothing listens: Ray itself would wait for minutes."""
    host, port = _split(address)
    if port:
        socket.create_connection((host, port), REACHED_S).close()


def _split(address: str) -> tuple[str, int]:
    """Host and port, which is 0 where the address names none."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return host.strip("[]"), int(port) if port.isdecimal() else 0


def head_of(runner: RayRunner) -> tuple[str, int]:
    """Where the cluster that we are connected to is led from."""
    import ray

    address = _address(runner)
    return _split(address if address.startswith("ray://") else ray.get_runtime_context().gcs_address)


def _machine(runner: RayRunner, address: str) -> dict[str, Any]:
    """The size of a Ray that starts here; a running one has its own."""
    if address != "local":
        return {}
    return {
        "num_cpus": max(os.cpu_count() or 1, math.ceil(2 * runner.cpus_per_arm)),
        "num_gpus": None if runner.gpus_per_arm or runner.scorer_gpus else 0,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }


@contextmanager
def _placed(runner: RayRunner, pipeline: Pipeline) -> Iterator[Any]:
    """Room for every replica of the engines that are up at once: one of two would wait for ever."""
    import ray
    from ray.exceptions import RayError
    from ray.util import placement_group, remove_placement_group

    room, count = runner.room(), pipeline.engines_at_once * runner.replicas
    short = [name for name, each in room.items() if ray.cluster_resources().get(name, 0) < count * each]
    group = placement_group([room] * count, strategy=runner.placement.upper())
    try:
        if (short and not runner.address) or not group.wait(PLACED_S):
            raise EngineError(_no_room(runner, pipeline, ray.cluster_resources()))
        yield group
    finally:
        with suppress(OSError, RayError):  # Ray removes what a driver leaves
            socket.create_connection(head_of(runner), REACHED_S).close()  # a call to a dead head takes a minute
            remove_placement_group(group)


def _no_room(runner: RayRunner, pipeline: Pipeline, has: dict[str, float]) -> str:
    """The arithmetic, and what would make it fit."""
    room, count = runner.room(), pipeline.engines_at_once * runner.replicas
    wants = ", ".join(f"{count * each:g} {name}" for name, each in room.items())
    there = ", ".join(f"{has.get(name, 0):g}" for name in room)
    whom, remedy = "two arms", "; or 'sequential: true': one arm after the other, which says nothing of latency"
    if pipeline.engines_at_once < len(Arm):
        whom, remedy = ("one engine for both arms" if pipeline.shares_engine else "one arm at a time"), ""
    return (
        f"runner 'ray' found no room for {whom} of {runner.replicas} x {room}: that is {wants}, and the cluster has "
        f"{there}; ask for less per arm, fewer replicas, or add nodes{remedy}"
    )
