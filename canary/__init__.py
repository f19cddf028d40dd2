"""May this candidate replace the baseline?

The names below are the package's public ones; each is loaded on first use.
`canary.evaluate.evaluate(evidence, plan)` is the whole pure path.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from canary.errors import (
        CanaryError,
        ConfigError,
        EngineError,
        EvidenceError,
        GateError,
        GoldenSetError,
        MissingExtra,
        PluginError,
        UsageError,
    )
    from canary.plan import Plan
    from canary.policy import Policy
    from canary.records import (
        Arm,
        Decision,
        ErrorKind,
        Evidence,
        Failure,
        Prompt,
        Response,
        Scale,
        Score,
        Signal,
        Status,
        Tier,
        Verdict,
    )

__version__ = "0.1.0"

__all__ = [
    "Arm",
    "CanaryError",
    "ConfigError",
    "Decision",
    "EngineError",
    "ErrorKind",
    "Evidence",
    "EvidenceError",
    "Failure",
    "GateError",
    "GoldenSetError",
    "MissingExtra",
    "Plan",
    "PluginError",
    "Policy",
    "Prompt",
    "Response",
    "Scale",
    "Score",
    "Signal",
    "Status",
    "Tier",
    "UsageError",
    "Verdict",
]

_HOMES = {"Plan": "plan", "Policy": "policy"} | {
    name: "errors" if name.endswith("Error") or name == "MissingExtra" else "records"
    for name in __all__
    if name not in {"Plan", "Policy"}
}


def __getattr__(name: str) -> Any:
    """Load a public name where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module 'canary' has no attribute {name!r}")
    return getattr(importlib.import_module(f"canary.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
