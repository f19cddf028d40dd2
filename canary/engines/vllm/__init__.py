"""A vLLM server that belongs to the run: brought up, asked over HTTP, ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import aiohttp
from pydantic import SecretStr

from canary.engines import by_arm, openai
from canary.engines.vllm.arguments import requested_model
from canary.engines.vllm.observe import Observed
from canary.engines.vllm.server import Server, serving
from canary.protocols import Generate
from canary.records import Arm
from canary.release import OpenAIRelease, VllmRelease
from canary.sharing import TRAVELS, named

SCRAPE_S = 2.0


def open_release(release: VllmRelease, arm: Arm) -> AbstractAsyncContextManager[Generate]:
    """A server for one arm alone; see `open_shared`."""
    return open_shared({arm: release})


@asynccontextmanager
async def open_shared(releases: Mapping[Arm, VllmRelease]) -> AsyncIterator[Generate]:
    """Yields the function that asks the server, and how the server is.

    Raises EngineError with the server's last words when it does not come up.
    """
    release = next(iter(releases.values()))
    async with serving(release, named(releases)) as server, AsyncExitStack() as stack:
        asked = {
            arm: await stack.enter_async_context(openai.open_release(_remote(own, server), arm))
            for arm, own in releases.items()
        }
        patience = aiohttp.ClientTimeout(total=SCRAPE_S)
        client = await stack.enter_async_context(aiohttp.ClientSession(timeout=patience))
        yield Observed(generate=by_arm(asked), server=server, client=client)


def _remote(release: VllmRelease, server: Server) -> OpenAIRelease:
    """The release as its server's requests have it."""
    travels = {name: getattr(release, name) for name in TRAVELS["vllm"] - {"price"}}
    return OpenAIRelease(
        engine="openai",
        model=requested_model(release),
        base_url=f"{server.origin}/v1",
        api_key=SecretStr(server.key),
        price=release.token_price,
        **travels,
    )
