"""A vLLM server that belongs to the run: brought up, asked over HTTP, ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from canary.engines import openai
from canary.engines.vllm.arguments import requested_model
from canary.engines.vllm.observe import Observed
from canary.engines.vllm.server import serving
from canary.protocols import Generate
from canary.records import Arm
from canary.release import OpenAIRelease, VllmRelease

SCRAPE_S = 2.0
_SHARED = ("name", "prompt", "sampling", "timeout_s", "api", "extra_body")


@asynccontextmanager
async def open_release(release: VllmRelease, arm: Arm) -> AsyncIterator[Generate]:
    """Yields the function that asks the server, and how the server is.

    Raises EngineError with the server's last words when it does not come up.
    """
    async with serving(release, arm) as server:
        shared = {name: getattr(release, name) for name in _SHARED}
        remote = OpenAIRelease(
            engine="openai",
            model=requested_model(release),
            base_url=f"{server.origin}/v1",
            price=release.token_price,
            **shared,
        )
        async with (
            openai.open_release(remote, arm) as generate,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SCRAPE_S)) as client,
        ):
            yield Observed(generate=generate, server=server, client=client)
