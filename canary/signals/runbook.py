"""Where the policy says to look when a signal fails."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from canary.policy import Policy
from canary.records import Signal


def runbook_of(name: str, policy: Policy) -> str | None:
    """Of the first glob that fits the signal's name; None where none does."""
    return next((text for glob, text in policy.runbooks.items() if fnmatchcase(name, glob)), None)


def with_runbook(signal: Signal, policy: Policy) -> Signal:
    """The signal with its runbook."""
    return replace(signal, runbook=runbook_of(signal.name, policy))
