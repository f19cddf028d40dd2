"""What is wrong with the files that tests write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.errors import ConfigError

POLICY_KEYS = (
    "version, alpha, quality, latency, errors, cost, cache, goodput, saturation, guardrail, drift, traffic, promotion, "
    "composites, false_alarm_rates, runbooks"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that files have short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(load: Callable[[Path], Any], text: str | bytes, name: str = "f.yaml") -> list[str]:
    """What is wrong with a file of this text."""
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(path)
    return list(caught.value.problems)
