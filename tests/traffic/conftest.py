"""Two arms of routed traffic, made up line by line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.jsonl import write_jsonl

Row = dict[str, Any]
Canary = Callable[..., Any]

N = 6_000


def served(rng: np.random.Generator, arm: int, change: Row) -> Row:
    """One request's measurements; `change` gives the candidate's differences."""
    if rng.random() < change.get("errors", (0.002, 0.002))[arm]:
        return {"error": {"kind": "server"}}
    factor = change.get("slower", 1.0) if arm else 1.0
    return {
        "ttft_s": round(float(rng.lognormal(-1, 0.4)) * factor, 5),
        "output_tokens": int(rng.integers(20, 200)),
        "cost_usd": round(float(rng.lognormal(-6, 0.5)) * (change.get("dearer", 1.0) if arm else 1.0), 7),
        "scores": {"helpful": bool(rng.random() < change.get("passes", (0.95, 0.95))[arm])},
    }


def traffic(
    n: int = N, *, share: Sequence[float] = (0.5,), seed: int = 0, sticky: int = 1, **change: Any
) -> list[list[Row]]:
    """Lines of both arms over an hour, the share stepping through `share`."""
    rng = np.random.default_rng(seed)
    arms: list[list[Row]] = [[], []]
    keys = n // sticky
    for key in range(keys):
        level = share[key * len(share) // keys]
        arm = int(rng.random() < level)
        for turn in range(sticky):
            row = {"id": f"{key}-{turn}", "started_at": 1.7e9 + 3_600 * key / keys + turn, "share": level}
            session = {"session": f"s{key}"} if sticky > 1 else {}
            arms[arm].append(row | session | served(rng, arm, change))
    return arms


class Bench:
    """Two arms that were served alike; each test breaks one thing."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self._canary = folder, canary
        self.baseline, self.candidate = traffic()

    @property
    def both(self) -> list[Row]:
        """Every line of both arms."""
        return [*self.baseline, *self.candidate]

    def take(self, arms: list[list[Row]]) -> Bench:
        """Other lines."""
        self.baseline, self.candidate = arms
        return self

    def compare(self, *options: object) -> Any:
        """Run `canary compare --traffic` on what the test left."""
        files = []
        for name, rows in (("baseline", self.baseline), ("candidate", self.candidate)):
            files.append(write_jsonl(self.folder / f"{name}.jsonl", rows))
        return self._canary("compare", *files, "--traffic", "--json", *options)


@pytest.fixture
def bench(tmp_path: Path, canary: Canary) -> Bench:
    """Traffic that promotes as it stands."""
    return Bench(tmp_path, canary)
