"""Which signals a reader should see first, and which strata were lost."""

from __future__ import annotations

from collections.abc import Iterable

from canary.records import POOLED, Signal, Status, Tier, Verdict


def ranked(signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """Failing first, then inconclusive, then passing; blocking before advisory.

    Within these the order is the verdict's own.
    """
    return tuple(sorted(signals, key=lambda signal: (signal.tier is Tier.ADVISORY, -signal.status)))


def blocking(verdict: Verdict, status: Status) -> tuple[Signal, ...]:
    """The deciding signals of one status, in the verdict's order."""
    return tuple(s for s in verdict.signals if s.tier is Tier.BLOCKING and s.status is status)


def alike(signals: Iterable[Signal]) -> tuple[tuple[Signal, ...], ...]:
    """Signals of one reason and runbook together, where the first of them stood: one cause is told once."""
    found: dict[tuple[str, str | None], list[Signal]] = {}
    for signal in signals:
        found.setdefault((signal.reason, signal.runbook), []).append(signal)
    return tuple(map(tuple, found.values()))


def lost_strata(verdict: Verdict) -> tuple[Signal, ...]:
    """One signal per stratum whose quality fails, the deepest drop first."""
    worst: dict[str, Signal] = {}
    for signal in blocking(verdict, Status.FAIL):
        if signal.kind != "quality" or is_pooled(signal):
            continue
        known = worst.get(str(signal.stratum))
        if known is None or depth(signal) < depth(known):
            worst[str(signal.stratum)] = signal
    return tuple(sorted(worst.values(), key=lambda signal: (depth(signal), signal.name)))


def is_pooled(signal: Signal) -> bool:
    """Whether a signal speaks of all strata together."""
    return signal.stratum in (None, POOLED)


def depth(signal: Signal) -> float:
    """The estimated change of a higher-is-better signal; 0 where unknown."""
    return 0.0 if signal.estimate is None else signal.estimate
