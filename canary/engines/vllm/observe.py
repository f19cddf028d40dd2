"""How a vLLM server and its machine are: what `/metrics` says, and the operating system."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import aiohttp

from canary.bounds import is_observed
from canary.engines.vllm.server import Server
from canary.errors import EngineError
from canary.protocols import Generate, Request
from canary.records import ErrorKind, Response

LEVELS = {
    "vllm:kv_cache_usage_perc": "kv_cache",
    "vllm:gpu_cache_usage_perc": "kv_cache",  # until 0.10
}
"""The fullest engine counts."""
SUMS = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:num_preemptions_total": "preemptions",
    "vllm:prompt_tokens_total": "prompt_tokens",
    "vllm:generation_tokens_total": "generation_tokens",
    "vllm:prefix_cache_queries_total": "prefix_queries",
    "vllm:prefix_cache_hits_total": "prefix_hits",
    "vllm:gpu_prefix_cache_queries_total": "prefix_queries",  # until 0.10
    "vllm:gpu_prefix_cache_hits_total": "prefix_hits",
}
"""Added over the engines of one server."""


class Machine:
    """The machine this process runs on: its processors since the last look, its memory now."""

    def __init__(self) -> None:
        self._psutil = _psutil()
        self._then = None if self._psutil is None else self._psutil.cpu_times()

    def observe(self) -> dict[str, float]:
        """`cpu` and `memory`, 0 to 1, as far as they are known."""
        if self._psutil is None:
            return {}
        now = self._psutil.cpu_times()
        busy = busy_share(self._then, now)
        self._then = now
        return {"memory": self._psutil.virtual_memory().percent / 100} | ({} if busy is None else {"cpu": busy})


def busy_share(then: Any, now: Any) -> float | None:
    """What all processors did other than wait, between two `psutil.cpu_times`; None where no time passed."""
    spent = {
        name: float(getattr(now, name) - getattr(then, name)) for name in now._fields if not name.startswith("guest")
    }
    total = sum(spent.values())  # a guest's time is in its host's `user` and `nice`
    if total <= 0:
        return None
    return min(1.0, max(0.0, 1 - (spent["idle"] + spent.get("iowait", 0.0)) / total))


def _psutil() -> ModuleType | None:
    try:
        import psutil  # noqa: PLC0415 - of the extra `vllm`
    except ModuleNotFoundError:
        return None
    module: ModuleType = psutil
    return module


@dataclass(slots=True)
class Observed:
    """A `protocols.Observable` over one server."""

    generate: Generate
    server: Server
    client: aiohttp.ClientSession
    machine: Machine = field(default_factory=Machine)

    async def __call__(self, request: Request) -> Response | None:
        """One answer; raises EngineLostError when the server died under it."""
        try:
            response = await self.generate(request)
        except EngineError:
            await self.server.require(self.client)
            raise
        if response and response.error and response.error.kind is ErrorKind.SERVER:
            await self.server.require(self.client)
        return response

    async def observe(self) -> Mapping[int, Mapping[str, float]]:
        """The machine's values and the start's alone where the server does not answer."""
        return {0: {"started_s": self.server.started_s} | self.machine.observe() | await self._scrape()}

    async def _scrape(self) -> dict[str, float]:
        try:
            async with self.client.get(f"{self.server.origin}/metrics", raise_for_status=True) as said:
                return read_metrics(await said.text())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return {}


def read_metrics(text: str) -> dict[str, float]:
    """The plain values of a scrape; what is not there, or cannot be so of any engine, is left out.

    Only the few lines that are wanted are parsed: the whole text takes longer
    than a token.
    """
    said: dict[str, list[float]] = {}
    for name, value in _samples(text):
        said.setdefault(_PLAIN[name], []).append(value)
    return {
        name: max(values) if name in LEVELS.values() else sum(values)
        for name, values in said.items()
        if all(math.isfinite(value) and is_observed(name, value) for value in values)
    }


def _samples(text: str) -> Iterator[tuple[str, float]]:
    try:
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - of the extra `vllm`
    except ModuleNotFoundError:
        return
    wanted = (line for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] in _PLAIN)
    for family in text_string_to_metric_families("\n".join(wanted)):
        for sample in family.samples:
            yield sample.name, sample.value


_PLAIN = LEVELS | SUMS
