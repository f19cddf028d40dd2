"""May one engine serve both arms? Where the releases differ in nothing but what travels with each request.

What a runner may say of it, and of doing with the room of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from canary.records import Arm
from canary.release import HourlyPrice, Release

Share = Annotated[
    bool | None,
    Field(
        description="one engine for both arms; null: where the releases differ, and only in what travels with each "
        "request (prompt, sampling, price, timeout_s; of vllm api and extra_body too)"
    ),
]


Sequential = Annotated[
    bool,
    Field(
        description="where there is no room for both arms at once: the baseline is asked everything first, alone; "
        "latency, goodput, throughput and saturation are then no evidence"
    ),
]

HOURS = "a price is by the hour, and in one batch both arms' requests take the time that the slower arm's need"
"""Why a server that is paid for its time serves one arm: else a candidate that halves its throughput costs no more."""

_EVERY = frozenset({"name", "prompt", "sampling", "price", "timeout_s"})
TRAVELS: Mapping[str, frozenset[str]] = {
    "transformers": _EVERY,
    "vllm": _EVERY | {"api", "extra_body"},
}
"""By engine that brings up a model, the fields of a release that its requests bring along."""


def differing(baseline: Release, candidate: Release) -> tuple[str, ...]:
    """The fields in which two releases differ, their names aside."""
    fields = dict.fromkeys((*type(baseline).model_fields, *type(candidate).model_fields))
    return tuple(
        name for name in fields if name != "name" and getattr(baseline, name, None) != getattr(candidate, name, None)
    )


def obstacle(baseline: Release, candidate: Release) -> str:
    """Why one engine cannot serve both; "" where it can."""
    if baseline.engine not in TRAVELS:
        return f"engine '{baseline.engine}' brings up no model"
    own = [name for name in differing(baseline, candidate) if name not in TRAVELS[baseline.engine]]
    if own:
        return f"the releases differ in {listed(own)}"
    return HOURS if baseline.engine == "vllm" and any(map(is_hourly, (baseline, candidate))) else ""


def is_hourly(release: Release) -> bool:
    """Whether it is paid by the hour."""
    return isinstance(getattr(release, "price", None), HourlyPrice)


def listed(names: tuple[str, ...] | list[str]) -> str:
    """`'model', 'env'`."""
    return ", ".join(f"'{name}'" for name in names)


def named(releases: Mapping[Arm, Release]) -> str:
    """Who an engine answers for, as messages say it: `baseline 'v1'`, `baseline 'v1' and candidate 'v2'`."""
    return " and ".join(f"{arm} '{release.name}'" for arm, release in releases.items())
