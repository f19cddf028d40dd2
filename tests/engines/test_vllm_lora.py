"""LoRA adapters on a real vLLM: what they change, and how bad ones end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from canary.engines.vllm.arguments import arguments
from canary.errors import ConfigError, EngineError
from tests.engines.adapters import adapter
from tests.engines.test_vllm import CHECKPOINTS, HERE, TEXTS, answers, left, release, vllm, words

__all__ = ["vllm"]  # the fixture, with its skip

BASE = CHECKPOINTS / "baseline"


@pytest.mark.parametrize(("rank", "room"), [(8, None), (16, None), (24, "32"), (64, "64"), (600, "600")])
def test_a_large_rank_gets_room(tmp_path: Path, rank: int, room: str | None) -> None:
    """The adapter's own rank decides; what vLLM cannot hold at all is left for it to refuse."""
    told = arguments(release(lora=str(adapter(tmp_path / "a", BASE, scale=0, rank=rank))))

    assert (told[told.index("--max-lora-rank") + 1] if "--max-lora-rank" in told else None) == room


def test_a_rank_of_the_user_s_own_stands(tmp_path: Path) -> None:
    """`max_lora_rank` among the engine's arguments is not said twice, and a pattern of ranks counts too."""
    folder = adapter(tmp_path / "a", BASE, scale=0)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"rank_pattern": {"v_proj": 40}}))

    assert "--max-lora-rank 64" in " ".join(arguments(release(lora=str(folder))))
    own = " ".join(arguments(release(lora=str(folder), engine_args={"max_lora_rank": 128})))
    assert (own.count("--max-lora-rank"), "--max-lora-rank 128" in own) == (1, True)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "'lora' must be a folder with an adapter_config.json (got "),
        ("{", "adapter_config.json must be JSON ("),
        ("[]", "adapter_config.json: 'r' must be a rank of at least 1 (got None)"),
        ('{"r": 0}', "'r' must be a rank of at least 1 (got 0)"),
        ('{"r": 8, "rank_pattern": [16]}', "'rank_pattern' must be an object {layer: rank} (got [16])"),
        ("[" * 100_000, "adapter_config.json must be JSON ("),
        ('{"r": "8"}', "'r' must be a rank of at least 1 (got '8')"),
    ],
)
def test_what_is_no_adapter(tmp_path: Path, config: str | None, said: str) -> None:
    """A folder without a readable adapter_config.json is named, with what is wrong."""
    if config is not None:
        (tmp_path / "adapter_config.json").write_text(config)

    with pytest.raises(ConfigError) as caught:
        arguments(release(lora=str(tmp_path)))
    assert said in str(caught.value)


@pytest.mark.slow
def test_an_adapter_changes_the_answers(vllm: str, tmp_path: Path) -> None:
    """One of zeros says what the base says; another one, of a rank that vLLM has no room for by itself, does not."""
    none, some = adapter(tmp_path / "none", BASE, scale=0), adapter(tmp_path / "some", BASE, scale=1, rank=24)
    bare = words(answers(HERE, TEXTS))

    assert words(answers(release(vllm, lora=str(none)), TEXTS)) == bare
    adapted = answers(release(vllm, lora=str(some)), TEXTS)
    assert words(adapted) != bare
    assert [one.error for one in adapted if one.error and one.error.kind != "truncated"] == []
    assert left(str(tmp_path)) == []


@pytest.mark.slow
def test_an_adapter_of_another_model(vllm: str, tmp_path: Path) -> None:
    """The server's own words are the error."""
    other = adapter(tmp_path / "other", BASE, scale=1, wider=8)

    with pytest.raises(EngineError, match=r"(?s)candidate 'v2': the vLLM server ended with status .*(size|shape)"):
        answers(release(vllm, lora=str(other)), ["a"])
    assert left(str(tmp_path)) == []
