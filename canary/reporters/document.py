"""`verdict.json`: the verdict as a document other programs read."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from pydantic import TypeAdapter

from canary.errors import GateError
from canary.plan import Plan
from canary.records import VERDICT_SCHEMA, Composite, Evidence, Looks, Side, Signal, Status, Verdict


def to_document(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain JSON values, keys in their fixed order.

    Raises GateError where a number is not finite: a document never says NaN.
    """
    document = {
        "schema": verdict.schema,
        "verdict": verdict.verdict.value,
        "reason": verdict.reason,
        "stage": verdict.stage,
        "baseline": _side(verdict.baseline),
        "candidate": _side(verdict.candidate),
        "alpha": dict(sorted(verdict.alpha.items())),
        "looks": _looks(verdict.looks),
        "signals": [_signal(signal) for signal in verdict.signals],
        "composites": [_composite(composite) for composite in verdict.composites],
        "warnings": list(verdict.warnings),
        "record": _sorted(verdict.record),
    }
    _require_finite(document, "verdict")
    return document


def render(verdict: Verdict, evidence: Evidence, plan: Plan) -> str:  # noqa: ARG001 - a Reporter
    """The document's bytes: equal verdicts give equal text."""
    return dump(to_document(verdict))


def read(text: bytes | str) -> Verdict:
    """The verdict of a document; raises ValueError where it is none of ours."""
    try:
        document = json.loads(text)
        if document["schema"] != VERDICT_SCHEMA:
            raise ValueError(f"'schema' must be {VERDICT_SCHEMA} (got {document['schema']})")
        for part in (*document["signals"], *document["composites"]):
            part["status"] = Status[part["status"].upper()]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"is no verdict: {error!r}") from None
    return TypeAdapter(Verdict).validate_python(document)


def dump(document: dict[str, Any]) -> str:
    """ASCII JSON with a trailing newline, floats as their shortest repr."""
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _side(side: Side) -> dict[str, Any]:
    return {"name": side.name, "digest": side.digest}


def _looks(looks: Looks | None) -> dict[str, Any] | None:
    if looks is None:
        return None
    document = {field.name: getattr(looks, field.name) for field in dataclasses.fields(looks)}
    levels = {"alpha": dict(sorted(looks.alpha.items())), "final": dict(sorted(looks.final.items()))}
    return document | levels


def _signal(signal: Signal) -> dict[str, Any]:
    document = {field.name: getattr(signal, field.name) for field in dataclasses.fields(signal)}
    return document | {
        "tier": signal.tier.value,
        "status": signal.status.label,
        "warnings": list(signal.warnings),
    }


def _composite(composite: Composite) -> dict[str, Any]:
    return {
        "name": composite.name,
        "status": composite.status.label,
        "expression": composite.expression,
        "members": list(composite.members),
    }


def _sorted(value: Any) -> Any:
    """`record` with its keys in order, however it was put together."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value


def _require_finite(value: Any, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise GateError(f"'{path}' must be finite (got {value}): an undefined number is null")
    if isinstance(value, dict):
        for key, item in value.items():
            _require_finite(item, f"{path}.{key}")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _require_finite(item, f"{path}[{position}]")
