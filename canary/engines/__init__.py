"""Engines answer prompts for one arm; one file each, one line here. `http` is what engines over HTTP share."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from canary.protocols import Engine, Generate, Request, SharedEngine
    from canary.records import Arm, Response
    from canary.release import Release

ENGINES = {
    "replay": "canary.engines.replay:open_release",
    "transformers": "canary.engines.transformers:open_release",
    "openai": "canary.engines.openai:open_release",
    "vllm": "canary.engines.vllm:open_release",
}
"""Name in a release's `engine:` to where it is opened; imported on first use."""

SHARED = {
    "transformers": "canary.engines.transformers:open_shared",
    "vllm": "canary.engines.vllm:open_shared",
}
"""The engines that bring up a model once for both arms (`canary.sharing` says when)."""


def open_engine(release: Release, arm: Arm) -> AbstractAsyncContextManager[Generate]:
    """The release, ready to be entered: `async with` it to get its Generate."""
    engine: Engine = resolve_name(ENGINES[release.engine])
    return engine(release, arm)


def open_arms(releases: Mapping[Arm, Release]) -> AbstractAsyncContextManager[Generate]:
    """One engine for the arms given: one of them, or both, whose requests then say which."""
    if len(releases) == 1:
        ((arm, release),) = releases.items()
        return open_engine(release, arm)
    engine: SharedEngine = resolve_name(SHARED[next(iter(releases.values())).engine])
    return engine(releases)


def by_arm(generates: Mapping[Arm, Generate]) -> Generate:
    """What answers each request as its own arm does; one that is alone answers them all."""
    if len(generates) == 1:
        return next(iter(generates.values()))

    async def generate(request: Request) -> Response | None:
        return await generates[request.arm](request)

    return generate
