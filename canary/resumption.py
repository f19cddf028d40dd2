"""Whether a run that was cut off still asks what it asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from canary.plan import Plan

SURROUNDINGS = ("runner", "concurrency", "warmup", "versions")
"""What may change under a resumed run: a pair's two arms still share it."""


def changes(stored: Plan, plan: Plan) -> Iterator[tuple[str, bool]]:
    """A sentence for each thing that differs, and whether it would mix two questions."""
    for name, sentence in _differences(_question(stored, plan), _question(plan, stored)):
        yield sentence, name.split(".")[0] not in SURROUNDINGS


def _question(plan: Plan, other: Plan) -> dict[str, Any]:
    """The plan without what a digest in it already decides, or what its answers do not depend on."""
    besides = {"warnings", "pipeline", "calibration", "golden_sets", "mlflow", "registry", "gate_differences"}
    document: dict[str, Any] = plan.model_dump(mode="json", by_alias=True, exclude=besides)
    for place in ("golden_sets", "judge"):  # who judges, and how often, is in the digests of `judges`
        document["suite"].pop(place)
    for judge in document["judges"].values():
        judge.pop("calibration")
    for arm in ("baseline", "candidate"):
        document[arm].pop("origins")  # what they led to is in the digest, and in `release` where that differs
        if getattr(plan, arm).digest == getattr(other, arm).digest:
            document[arm]["release"] = {"price": document[arm]["release"].get("price")}
    return document


def _differences(then: Any, now: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Name and sentence of every leaf that differs."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted(then.keys() | now.keys()):
            yield from _differences(then.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif then != now:
        what = "the golden set" if name == "golden_sha256" else f"'{name}'"
        yield name, f"{what} changed under this run: plan.json has {json.dumps(then)}, now {json.dumps(now)}"
