"""May one engine serve both arms? Where the releases differ in nothing but what travels with each request."""

from __future__ import annotations

from collections.abc import Mapping

from canary.records import Arm
from canary.release import Release

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
    return f"the releases differ in {listed(own)}" if own else ""


def listed(names: tuple[str, ...] | list[str]) -> str:
    """`'model', 'env'`."""
    return ", ".join(f"'{name}'" for name in names)


def named(releases: Mapping[Arm, Release]) -> str:
    """Who an engine answers for, as messages say it: `baseline 'v1'`, `baseline 'v1' and candidate 'v2'`."""
    return " and ".join(f"{arm} '{release.name}'" for arm, release in releases.items())
