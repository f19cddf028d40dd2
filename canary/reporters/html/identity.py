"""What tells two releases apart, and what the record rests on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from canary.plan import Plan

ABSENT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of the two releases, as written."""

    name: str
    baseline: str
    candidate: str

    @property
    def differs(self) -> bool:
        """Whether it may explain a change."""
        return self.baseline != self.candidate


def different_settings(plan: Plan) -> tuple[Setting, ...]:
    """Every setting of either release, the different ones first."""
    arms = [dict(_leaves(side.release)) for side in (plan.baseline, plan.candidate)]
    names = sorted(arms[0].keys() | arms[1].keys())
    settings = [
        Setting(name=name, baseline=arms[0].get(name, ABSENT), candidate=arms[1].get(name, ABSENT)) for name in names
    ]
    return tuple(sorted(settings, key=lambda setting: not setting.differs))


def record_lines(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The digests of a record by their path, in its own order."""
    return tuple(_leaves(record))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _leaves(value[key], f"{path}.{key}" if path else str(key))
    elif value not in (None, (), []):
        yield path, value if isinstance(value, str) else json.dumps(value, default=str)
