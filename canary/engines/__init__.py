"""Engines answer prompts for one arm; one file each, one line here. `http` is what engines over HTTP share."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from canary.protocols import Engine, Generate
    from canary.records import Arm
    from canary.release import Release

ENGINES = {
    "replay": "canary.engines.replay:open_release",
    "transformers": "canary.engines.transformers:open_release",
    "openai": "canary.engines.openai:open_release",
    "vllm": "canary.engines.vllm:open_release",
}
"""Name in a release's `engine:` to where it is opened; imported on first use."""


def open_engine(release: Release, arm: Arm) -> AbstractAsyncContextManager[Generate]:
    """The release, ready to be entered: `async with` it to get its Generate."""
    module, name = ENGINES[release.engine].split(":")
    engine = cast("Engine", getattr(import_module(module), name))
    return engine(release, arm)
