"""Signals in, verdict out: an OR-composite over ordered statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from canary.expression import All_, Any_, Expression, Not_, dump_expression, named_signals
from canary.plan import Plan
from canary.records import POOLED, Composite, Decision, Looks, Side, Signal, Status, Tier, Verdict
from canary.signals.wording import MISSING


def decide(signals: Sequence[Signal], plan: Plan, record: Mapping[str, Any], looks: Looks | None = None) -> Verdict:
    """The verdict as docs/statistics.md has it; every way but one leads away from promote."""
    blocking = [signal for signal in signals if signal.tier is Tier.BLOCKING]
    composites = tuple(_composite(name, rule, blocking) for name, rule in sorted(plan.policy.composites.items()))
    rollback = next(composite for composite in composites if composite.name == "rollback")
    nobody = _named_by_nobody(plan.policy.composites["rollback"], blocking)
    decision, reason = _decide(blocking, rollback, looks, nobody)
    return Verdict(
        verdict=decision,
        reason=reason,
        stage=plan.stage,
        baseline=Side(name=plan.baseline.name, digest=plan.baseline.digest),
        candidate=Side(name=plan.candidate.name, digest=plan.candidate.digest),
        alpha={"rollback": plan.policy.alpha.rollback, "promote": plan.policy.alpha.promote},
        looks=looks,
        signals=tuple(signals),
        composites=composites,
        warnings=(*plan.warnings, *_stopped(looks)),
        record=record,
    )


def _stopped(looks: Looks | None) -> tuple[str, ...]:
    if looks is None or looks.stopped_at is None or looks.stopped_at == looks.cases:
        return ()
    after = f"stopped after {looks.stopped_at} of {looks.cases} cases"
    return (f"{after}: intervals are of these, and not corrected for stopping where the difference was large",)


def _decide(blocking: Sequence[Signal], rollback: Composite, looks: Looks | None, nobody: str) -> tuple[Decision, str]:
    stopper = None if looks is None else looks.signal
    failed = sorted((s for s in blocking if s.status is Status.FAIL), key=lambda s: (s.name != stopper, _telling(s)))
    if rollback.status is Status.FAIL:
        return Decision.ROLLBACK, _because(failed, "composite 'rollback' fails")
    if not blocking:
        return Decision.HOLD, "no blocking signal was measured, so nothing speaks for the candidate"
    open_ = failed + sorted((s for s in blocking if s.status is Status.INCONCLUSIVE), key=_urgent)
    if open_ or rollback.status is not Status.PASS:
        why = f"; the policy's composite 'rollback' does not fail with it{nobody}" if failed else ""
        return Decision.HOLD, _because(open_, f"composite 'rollback' is inconclusive{nobody}") + why
    return Decision.PROMOTE, f"all {len(blocking)} blocking signals are inside their margins"


def _telling(signal: Signal) -> tuple[bool, float]:
    """What failed, the category before the pool that it pulled down, the surest first."""
    return (
        signal.stratum == POOLED and signal.kind == "quality",
        1.0 if signal.p_harm_adjusted is None else signal.p_harm_adjusted,
    )


def _urgent(signal: Signal) -> int:
    """What is open: first what the run itself spoils, and settings mend, before what only more cases settle."""
    return 0 if signal.kind == "load" else 1 if _is_missing(signal) else 2


def _is_missing(signal: Signal) -> bool:
    return signal.reason.startswith(MISSING)


def _because(signals: Sequence[Signal], otherwise: str) -> str:
    """The first in full; of the others how many, and of missing evidence the name."""
    if not signals:
        return otherwise
    first, *others = signals
    lacking = [signal.name for signal in others if _is_missing(signal) and not _is_missing(first)]
    among = f", evidence missing for {lacking[0]}" if lacking else ""
    more = f" (and {len(others)} more{among})" if others else ""
    return f"{first.name}: {first.reason}{more}"


def _named_by_nobody(expression: Expression, blocking: Sequence[Signal]) -> str:
    """The names and globs of a composite that no signal goes by, as the end of a sentence."""
    names = [signal.name for signal in blocking]
    nobody = [glob for glob in named_signals(expression) if not any(fnmatchcase(name, glob) for name in names)]
    return f": no blocking signal is called {' or '.join(map(repr, nobody))}" if nobody else ""


def _composite(name: str, expression: Expression, blocking: Sequence[Signal]) -> Composite:
    globs = named_signals(expression)
    members = tuple(signal.name for signal in blocking if any(fnmatchcase(signal.name, glob) for glob in globs))
    return Composite(
        name=name, status=_evaluate(expression, blocking), expression=dump_expression(expression), members=members
    )


def _evaluate(expression: Expression, blocking: Sequence[Signal]) -> Status:
    """`any` is the worst of its members, `all` the mildest, `not` the opposite."""
    match expression:
        case str():
            return _named(expression, blocking)
        case Any_():
            return max(_evaluate(member, blocking) for member in expression.any)
        case All_():
            return min(_evaluate(member, blocking) for member in expression.all)
        case Not_():
            return Status(Status.FAIL - _evaluate(expression.not_, blocking))


def _named(glob: str, blocking: Sequence[Signal]) -> Status:
    """The worst signal a glob names; one that names none knows nothing."""
    return max(
        (signal.status for signal in blocking if fnmatchcase(signal.name, glob)),
        default=Status.INCONCLUSIVE,
    )
