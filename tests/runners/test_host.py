"""An engine in an actor's process, without the actor."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from canary.errors import EngineError
from canary.records import Arm
from canary.release import TransformersRelease, VllmRelease
from canary.runners.host import Host


@pytest.fixture(autouse=True)
def own_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a host without GPUs takes from its process is given back."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.parametrize("field", ["model", "lora"])
def test_weights_that_this_node_lacks(tmp_path: Path, field: str) -> None:
    """A folder that only the driver's machine has is named, before an engine takes it for a hub's id."""
    release = VllmRelease.model_validate(
        {"engine": "vllm", "name": "v8", "model": str(tmp_path), field: str(tmp_path / "gone")}
    )

    with pytest.raises(EngineError, match=re.escape(f"candidate 'v8': {tmp_path}/gone is not on the node ")):
        asyncio.run(Host({Arm.CANDIDATE: release}, 0.0).open())


def test_a_hub_s_id_is_no_folder(tmp_path: Path) -> None:
    """It is for the engine to find."""
    release = TransformersRelease(engine="transformers", name="v8", model="acme/none", revision="3" * 40)

    with pytest.raises(EngineError, match=r"^candidate 'v8': engine 'transformers' cannot load 'acme/none@3{40}'"):
        asyncio.run(Host({Arm.CANDIDATE: release}, 0.0).open())
