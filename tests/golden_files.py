"""Golden sets that tests write, and what is wrong with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.errors import GoldenSetError
from canary.golden import load_golden_sets
from canary.pipeline import Suite

SUITE = Suite(golden_sets=("unused",))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that files have short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def case(id_: str, stratum: Any = None, **more: Any) -> dict[str, Any]:
    """A case that asks for its own id."""
    metadata = {} if stratum is None else {"metadata": {"stratum": stratum}}
    return {"id": id_, "vars": {"question": id_}} | metadata | more


def write(cases: Iterable[Mapping[str, Any] | bytes], path: str = "f.jsonl") -> Path:
    """A file with one case, or raw line, a line."""
    lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in cases]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"".join(line + b"\n" for line in lines))
    return Path(path)


def describe(folder: str, **manifest: Any) -> None:
    """A manifest beside `prompts.jsonl`, with the right digest unless told otherwise."""
    digest = hashlib.sha256(Path(folder, "prompts.jsonl").read_bytes()).hexdigest()
    Path(folder, "manifest.yaml").write_text(yaml.safe_dump({"sha256": digest} | manifest, sort_keys=False))


def problems(*paths: str | Path, suite: Suite = SUITE) -> list[str]:
    """What is wrong with these golden sets."""
    with pytest.raises(GoldenSetError) as caught:
        load_golden_sets(paths, suite)
    return list(caught.value.problems)
