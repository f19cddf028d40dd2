"""Both arms in this process, and the table of runners."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import get_args

from canary.pipeline import LocalRunner, Pipeline, RayRunner
from canary.protocols import Answers, Pair, Request
from canary.records import Arm
from canary.runners import RUNNERS
from canary.runners.local import run


def test_table_is_complete() -> None:
    """Every runner that a pipeline may name is in the table, and callable."""
    named = {get_args(model.model_fields["type"].annotation)[0] for model in (LocalRunner, RayRunner)}
    places = [place.split(":") for place in RUNNERS.values()]

    assert set(RUNNERS) == named
    assert all(callable(getattr(importlib.import_module(module), name)) for module, name in places)


def test_recorded_outputs(tmp_path: Path) -> None:
    """Recorded outputs of both arms are paired by case; what is not there is None."""
    releases = {}
    for arm, count in (("baseline", 4), ("candidate", 3)):
        path = tmp_path / f"{arm}.jsonl"
        path.write_text("".join(json.dumps({"id": n, "output": f"{arm} {n}"}) + "\n" for n in range(count)))
        releases[arm] = {"name": arm, "engine": "replay", "responses": str(path)}
    pipeline = Pipeline.model_validate({"suite": "s", **releases})
    written: dict[str, list[str | None]] = {}

    def write(pair: Pair, answers: Answers) -> None:
        written[pair.key[0]] = [answer.output if answer else None for answer in answers]

    def ask(number: int, arm: Arm) -> Request:
        return Request(id=str(number), arm=arm, repeat=0, messages=None, text="", seed=0)

    pairs = (Pair(baseline=ask(n, Arm.BASELINE), candidate=ask(n, Arm.CANDIDATE), first=Arm.BASELINE) for n in range(4))
    run(pipeline, pairs, write)

    assert written == {str(n): [f"baseline {n}", f"candidate {n}" if n < 3 else None] for n in range(4)}
