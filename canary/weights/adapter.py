"""What a LoRA adapter says of itself."""

from __future__ import annotations

import json
from pathlib import Path

from canary.document import display
from canary.errors import ConfigError
from canary.weights.checkpoint import ADAPTER


def rank_of(folder: Path) -> int:
    """The largest rank in the adapter, at least 1; ConfigError where the folder holds no adapter."""
    path = folder / ADAPTER
    try:
        config = json.loads(path.read_bytes())
    except OSError:
        raise ConfigError(f"'lora' must be a folder with an {ADAPTER} (got {display(folder)})") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{display(path)} must be JSON ({error})") from None
    written = config.get("r") if isinstance(config, dict) else None
    if type(written) is not int or written < 1:
        raise ConfigError(f"{display(path)}: 'r' must be a rank of at least 1 (got {written!r})")
    others = config.get("rank_pattern") or {}
    if not isinstance(others, dict):
        raise ConfigError(f"{display(path)}: 'rank_pattern' must be an object {{layer: rank}} (got {others!r})")
    return max([written, *(rank for rank in others.values() if type(rank) is int)])
