"""A golden case and the manifest beside it, as users write them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from canary.written import Written


def _is_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"must hold no control or invisible character (got {text[:60]!a})")
    return text


class Message(Written):
    """One chat turn as chat APIs take it; what we do not know is passed on."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None


class Case(Written):
    """One line of `prompts.jsonl`."""

    id: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_is_printable)]
    vars: dict[str, Any] = Field({}, description="what the release's prompt template is filled with")
    messages: list[Message] | None = Field(
        None, min_length=1, description="chat turns in place of `vars` and a template"
    )
    expected: Any = Field(None, description="the reference answer: `{{expected}}` in assertions")
    metadata: dict[str, Any] = Field({}, description="`stratum`, `cluster`, `language` and whatever else you like")
    assertions: list[dict[str, Any]] = Field([], alias="assert", description="graded besides the suite's assertions")


class StratumShare(Written):
    """What one stratum is and how much it counts."""

    weight: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] = Field(
        description="share of what the service is asked; all of them are scaled to sum to one"
    )
    description: str = ""


class Manifest(Written):
    """`manifest.yaml`: where a golden set is from and what it stands for."""

    name: str = ""
    description: str = ""
    version: str | int | float = ""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(description="of prompts.jsonl, byte for byte")
    licence: str = ""
    source: str = Field("", description="where the cases are from, and how they were chosen")
    language: str | list[str] = ""
    sensitivity: str = Field("", description="public, internal, confidential, ...; reports repeat it")
    strata: dict[str, StratumShare] = Field(
        {}, description="all of them, or none: weights are then shares of the cases"
    )
