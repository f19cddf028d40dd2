"""Names and numbers as MLflow takes them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from canary.records import Arm, Scale, Score, Signal, Verdict

LONGEST = 240
"""Characters of a metric's name; MLflow takes 250."""


def metric_name(name: str) -> str:
    """A signal's name as MLflow's; one that had to change ends in a digest, so that no two become one."""
    parts = [re.sub(r"[^\w .:-]", "-", part).strip() for part in name.split("/")]
    kept = "/".join(part if part.strip(".") else "-" for part in parts)
    if kept == name and len(kept) <= LONGEST:
        return kept
    return f"{kept[: LONGEST - 9]}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def arm_metrics(verdict: Verdict, arm: Arm) -> dict[str, float]:
    """What one arm was measured to be, signal by signal."""
    values = {signal.name: getattr(signal, arm.value) for signal in verdict.signals}
    return {metric_name(name): value for name, value in values.items() if _is_number(value)}


def gate_metrics(verdict: Verdict) -> dict[str, float]:
    """The change of every signal with its interval and margin, and its status: 0 pass, 1 inconclusive, 2 fail."""
    return {f"{metric_name(s.name)}/{what}": value for s in verdict.signals for what, value in _change(s)}


def _change(signal: Signal) -> Iterator[tuple[str, float]]:
    named = {"change": signal.estimate, "low": signal.low, "high": signal.high, "margin": signal.margin}
    yield from ((what, value) for what, value in named.items() if value is not None and _is_number(value))
    yield "pairs", float(signal.n)
    yield "status", float(signal.status)


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def milliseconds(sealed_at: str | None) -> int:
    """The time of a seal since the epoch; 0 where the record does not say it."""
    return 0 if sealed_at is None else int(datetime.fromisoformat(sealed_at).timestamp() * 1000)


def feedback_value(score: Score) -> bool | float | None:
    """A score as an assessment has it; None for an abstention."""
    if score.value is None:
        return None
    return bool(score.passed) if score.scale is Scale.PASS_FAIL else float(score.value)


def by_answer(scores: tuple[Score, ...]) -> Mapping[tuple[str, Arm, int], list[Score]]:
    """The scores of each answer."""
    found: dict[tuple[str, Arm, int], list[Score]] = {}
    for score in scores:
        found.setdefault((score.id, score.arm, score.repeat), []).append(score)
    return found
