"""Whether a run that was cut off still asks what it asked, and the plan under which it goes on.

Nothing that decides is taken from `plan.json`, which anybody may have written
to in between: a resumed run obeys the plan that its pipeline makes now, once
that asks what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from canary.plan import Plan

MEASURED = "judge_calibration"
SURROUNDINGS = (
    *("runner", "concurrency", "warmup", "versions"),
    *("baseline.origins", "candidate.origins"),
    *("calibration", MEASURED),
)
"""What may change under a resumed run: a pair's two arms still share it, the same weights may lie elsewhere, and the
bench or a judge may have been measured meanwhile."""
_SHOWN = 200
"""Characters of a value that are said."""


def changes(stored: Plan, plan: Plan) -> Iterator[tuple[str, bool]]:
    """A sentence for each thing that differs, and whether it would mix two questions."""
    for name, sentence in _differences(_question(stored, plan), _question(plan, stored)):
        yield sentence, not any(f"{name}.".startswith(f"{place}.") for place in SURROUNDINGS)


def goes_on(stored: Plan, plan: Plan, told: tuple[str, ...]) -> Plan:
    """The plan as its pipeline has it now, with all that was said of the run so far and is `told` now."""
    return plan.model_copy(update={"warnings": tuple(dict.fromkeys((*plan.warnings, *stored.warnings, *told)))})


def _question(plan: Plan, other: Plan) -> dict[str, Any]:
    """The plan without what a digest in it already decides, or what its answers do not depend on."""
    besides = {"warnings", "pipeline", "golden_sets", "base_ref", "gate_changes"}
    document: dict[str, Any] = plan.model_dump(mode="json", by_alias=True, exclude=besides)
    for place in ("golden_sets", "judge"):  # who judges, and how often, is in the digests of `judges`
        document["suite"].pop(place)
    document[MEASURED] = {metric: judge.pop("calibration") for metric, judge in document["judges"].items()}
    for arm in ("baseline", "candidate"):
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
        yield name, f"{what} changed under this run: plan.json has {_said(then)}, now {_said(now)}"


def _said(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
