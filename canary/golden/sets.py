"""What a golden set is once it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.records import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file that cases were read from."""

    name: str
    path: str
    """As a user would write it from the working folder."""
    sha256: str
    cases: int
    licence: str = ""
    sensitivity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenSet:
    """The cases of a run."""

    prompts: tuple[Prompt, ...]
    """Sorted by id, whatever the order of files and lines."""
    strata: Mapping[str, float]
    """Weight of each stratum, sorted by name; the weights sum to one."""
    warnings: tuple[str, ...]
    sources: tuple[Source, ...]
    places: Mapping[str, str] = field(default_factory=dict)
    """Where each case stands, by its id: `prompts.jsonl:12`."""

    def counts(self) -> dict[str, int]:
        """Cases in each stratum, in the order of `strata`."""
        counted = dict.fromkeys(self.strata, 0)
        for prompt in self.prompts:
            counted[prompt.stratum] += 1
        return counted
