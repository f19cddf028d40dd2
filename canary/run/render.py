"""A golden case and a release in, one request out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from canary.assertions.template import compiled
from canary.errors import ConfigError
from canary.protocols import Request
from canary.records import Arm, Prompt
from canary.release import LiveRelease, OpenAIRelease, Release, Turn, VllmRelease


def render(prompt: Prompt, release: Release, arm: Arm, repeat: int, seed: int) -> Request:
    """One prompt for one arm.

    A case's own `messages` stand in place of the release's template, whose
    system turns then go first. Raises ConfigError naming the case when the
    template asks for a variable that the case lacks, and for turns or tools
    where only a text can be completed.
    """
    messages, text = _content(prompt, release) if isinstance(release, LiveRelease) else (None, None)
    tools = prompt.metadata.get("tools")
    if isinstance(release, OpenAIRelease | VllmRelease) and release.api == "completions" and (text is None or tools):
        must = f"'api' of release {release.name!r} must be chat for chat turns or tools (got completions)"
        raise ConfigError(f"case {prompt.id!r}: {must}")
    return Request(
        id=prompt.id,
        arm=arm,
        repeat=repeat,
        messages=messages,
        text=text,
        seed=_seed(prompt, release, arm, repeat, seed),
        tools=tools,
    )


def _content(prompt: Prompt, release: LiveRelease) -> tuple[tuple[Mapping[str, Any], ...] | None, str | None]:
    if prompt.messages is not None:
        turns = () if isinstance(release.prompt, str) else release.prompt
        system = (turn for turn in turns if turn.role in {"system", "developer"})
        return (*(_turn(turn, prompt, release) for turn in system), *prompt.messages), None
    if isinstance(release.prompt, str):
        return None, _fill(release.prompt, prompt, release)
    return tuple(_turn(turn, prompt, release) for turn in release.prompt), None


def _turn(turn: Turn, prompt: Prompt, release: LiveRelease) -> Mapping[str, Any]:
    return {"role": turn.role, "content": _fill(turn.content, prompt, release)}


def _fill(template: str, prompt: Prompt, release: LiveRelease) -> str:
    from jinja2 import TemplateError  # noqa: PLC0415 - half of all start-up time

    try:
        return compiled(template).render(prompt.vars)
    except TemplateError as error:
        raise ConfigError(
            f"case {prompt.id!r}: 'prompt' of release {release.name!r} cannot be filled in: {error.message} "
            f"(the case has vars: {', '.join(sorted(prompt.vars)) or 'none'})"
        ) from error


def _seed(prompt: Prompt, release: Release, arm: Arm, repeat: int, seed: int) -> int:
    """The release's own where it has one; else another for every case, repeat and arm; 31 bits.

    With one seed for both arms a release compared with itself would show no
    noise at all, which no service keeps to.
    """
    if isinstance(release, LiveRelease) and release.sampling.seed is not None:
        return release.sampling.seed + repeat
    text = f"{seed}/{arm}/{prompt.digest}/{repeat}"
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) >> 1
