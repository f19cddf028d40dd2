"""What a hold lacks, and the smallest margins its evidence supports.

A margin is supported when the interval, which is the inverse of the deciding
test, lies inside it. Nothing here decides: the lines are an offer to a person.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from canary.policy import Policy
from canary.records import MINIMUM_PAIRS, TRAFFIC_STAGE, Signal, Status, Verdict
from canary.reporters.quantity import direction, floor_of
from canary.reporters.ranking import blocking, is_pooled
from canary.signals.wording import MISSING, SEQUENCES, SHOWN_ONLY
from canary.timing import rule_of

_STEP = 1000
"""Margins are offered in steps of a thousandth."""

_LONGEST_NAME = 200
"""A longer metric's name is no line to read."""

Path = tuple[str, ...]
"""Where a margin stands in the policy file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Policy lines that would make an inconclusive signal pass."""

    path: Path
    bound: float


def needs_sign_off(signal: Signal) -> bool:
    """Whether an inconclusive signal lies within its margin: a proven loss.

    No margin is lacking then; a person has to accept the loss.
    """
    end = _harmful_end(signal)
    if signal.status is not Status.INCONCLUSIVE or end is None or signal.margin is None:
        return False
    return end < signal.margin if signal.effect == "ratio" else direction(signal) * end < signal.margin


def policy_lines(verdict: Verdict, policy: Policy) -> str:
    """YAML that would adopt the evidence of every inconclusive signal, or "".

    A margin shared by several signals is wide enough for all of them.
    """
    widest: dict[Path, float] = {}
    for offer in _offers(verdict, policy):
        is_floor = offer.path[-1] == "min_score"
        bounds = (offer.bound, widest.get(offer.path, offer.bound))
        widest[offer.path] = min(bounds) if is_floor else max(bounds)
    if not widest:
        return ""
    return yaml.safe_dump(_nested(widest), sort_keys=False, allow_unicode=False, width=10_000)


def _offers(verdict: Verdict, policy: Policy) -> Iterator[Offer]:
    for signal in blocking(verdict, Status.INCONCLUSIVE):
        path = _path(signal, policy, verdict.stage)
        end = _harmful_end(signal)
        if path is None or end is None or not _lacks_margin(signal):
            continue
        if path[-1] == "min_score":
            bound = _floor((signal.baseline or 0.0) + end)
            if bound > 0:
                yield Offer(path=path, bound=bound)
        elif path[-1] == "floor_s" and end < _limit(signal):
            yield Offer(path=path, bound=_above((end - 1) * (signal.baseline or 0.0)))
        elif (bound := _above(end if signal.effect == "ratio" else direction(signal) * end)) < _limit(signal):
            yield Offer(path=path, bound=bound)


def _lacks_margin(signal: Signal) -> bool:
    """Whether a wider margin would settle it: all its evidence is there."""
    is_there = signal.n >= MINIMUM_PAIRS and not signal.reason.startswith(MISSING) and not _is_look(signal)
    return is_there and not needs_sign_off(signal)


def _is_look(signal: Signal) -> bool:
    """Whether the window is open, so that no margin would settle it now."""
    return signal.method in {SHOWN_ONLY, SEQUENCES}


def _harmful_end(signal: Signal) -> float | None:
    """The end of the interval that lies towards harm."""
    return signal.low if direction(signal) < 0 else signal.high


def _limit(signal: Signal) -> float:
    """What a policy accepts at most: a loss of everything is no margin."""
    return 100.0 if signal.effect == "ratio" else 1.0


def _path(signal: Signal, policy: Policy, stage: str) -> Path | None:
    """Where the policy file sets the margin of a signal; None where nowhere."""
    bound = "max_ratio" if signal.effect == "ratio" else "max_increase"
    bound = "floor_s" if floor_of(signal, policy) else bound
    traffic = ("traffic",) if stage == TRAFFIC_STAGE and signal.kind == "errors" else ()
    paths: dict[str, Path] = {
        "quality": ("quality", *_stratum(signal, policy), "max_drop"),
        "cache": ("cache", "hit_rate", "max_drop"),
        "goodput": ("goodput", "max_drop"),
        "guardrail": ("guardrail", *_class(signal, policy), "max_increase"),
        **dict.fromkeys(("errors", "latency", "cost"), (*traffic, *rule_of(signal.name).split("/"), bound)),
    }
    if len(signal.metric) <= _LONGEST_NAME:
        paths["floor"] = ("quality", "metrics", signal.metric, "min_score")
    return paths.get(signal.kind)


def _class(signal: Signal, policy: Policy) -> Path:
    return ("classes", signal.metric) if signal.metric in policy.guardrail.classes else ("default",)


def _stratum(signal: Signal, policy: Policy) -> Path:
    if is_pooled(signal):
        return ()
    return ("critical",) if signal.stratum in policy.quality.critical.strata else ("stratum",)


def _above(bound: float) -> float:
    """The next thousandth strictly above."""
    return (math.floor(round(bound * _STEP, 9)) + 1) / _STEP


def _floor(bound: float) -> float:
    """The next thousandth at or below."""
    return math.floor(bound * _STEP) / _STEP


def _nested(bounds: Mapping[Path, float]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for path, bound in bounds.items():
        level = document
        for key in path[:-1]:
            level = level.setdefault(key, {})
        level[path[-1]] = bound
    return document
