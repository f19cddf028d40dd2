"""Mistakes of the user and breakdowns of the gate.

    CanaryError
    ├── UsageError           what the user wrote is wrong             exit 2
    │   ├── ConfigError      policy, suite, pipeline or command line
    │   ├── GoldenSetError   a golden set
    │   ├── EvidenceError    recorded outputs, or a run directory
    │   ├── PluginError      a user's plugin is missing or broken
    │   └── PromotionError   what is asked of the registry is refused, or another was first
    └── GateError            the gate itself broke                    exit 4
        ├── EngineError      an engine never came up, or stopped the run
        │   └── EngineLostError  its process ended in the middle
        ├── TrackingError    the tracking server cannot be used
        └── MissingExtra     an optional library is not installed

What a world fault does to one response is data (`records.Failure`), never an
exception.
"""

from __future__ import annotations

from collections.abc import Iterable


class CanaryError(Exception):
    """Any mistake this package reports by itself."""


class UsageError(CanaryError):
    """What the user wrote is wrong; carries every problem found, not one."""

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class ConfigError(UsageError):
    """A policy, suite, pipeline or command line is wrong."""


class GoldenSetError(UsageError):
    """A golden set is empty, ambiguous, changed or malformed."""


class EvidenceError(UsageError):
    """Recorded outputs, or a run directory, are malformed or tampered with."""


class PluginError(UsageError):
    """A module named under `plugins:` is missing or breaks its contract."""


class PromotionError(UsageError):
    """A promotion or rollback is refused, or another one came first; nothing was moved unless it says so."""


class GateError(CanaryError):
    """The gate itself broke; nothing is known about the candidate."""


class EngineError(GateError):
    """An engine never came up, or its own fault stops the run."""


class EngineLostError(EngineError):
    """An engine's process ended in the middle; a runner that has another place may bring it up again."""


class TrackingError(GateError):
    """A tracking server does not answer, or not as it should."""


class MissingExtra(GateError):  # noqa: N818 - it names what is missing
    """An optional library is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional library: pip install 'canary-gate[{extra}]'")
        self.extra = extra
