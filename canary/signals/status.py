"""Readings in, statuses out: the table of docs/statistics.md, first match wins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from canary.policy import Alpha, Policy
from canary.records import MINIMUM_PAIRS, Signal, Status, Tier
from canary.signals.need import pairs_needed
from canary.signals.reading import Proof, Reading
from canary.signals.runbook import runbook_of
from canary.signals.wording import MISSING, SHOWN_ONLY, VALUE, Unit, bound_text, e_text, effect_text, p_value, seconds
from canary.stats.multiplicity import critical_weights, holm, holm_weighted
from canary.stats.results import Finding

METHOD = "e-process, valid at every look"
"""Stands in the method of a signal that was certain before the end."""


def settle(
    readings: Sequence[Reading],
    policy: Policy,
    alpha: Alpha | None = None,
    proofs: Mapping[str, Proof] | None = None,
) -> tuple[Signal, ...]:
    """One signal per reading, harm corrected over the blocking family.

    `alpha` are the levels of the tests, the policy's where nothing was looked
    at before; `proofs` are of the signals that ended the run early, by name.
    """
    levels, known = alpha or policy.alpha, proofs or {}
    family = [i for i, reading in enumerate(readings) if _in_family(reading)]
    adjusted = dict(zip(family, _adjust([readings[i] for i in family], policy), strict=True))
    return tuple(
        _signal(reading, adjusted.get(i), policy, levels, known.get(reading.name)) for i, reading in enumerate(readings)
    )


def _adjust(family: Sequence[Reading], policy: Policy) -> list[float]:
    """Holm, plain or with a share of alpha kept for critical strata."""
    harms = [reading.finding.harm.p if reading.finding else 1.0 for reading in family]
    critical = policy.quality.critical
    if critical.alpha_share is None or not family:
        return list(holm(harms).tolist())
    marks = [reading.kind == "quality" and reading.stratum in critical.strata for reading in family]
    return list(holm_weighted(harms, critical_weights(marks, critical.alpha_share)).tolist())


def _in_family(reading: Reading) -> bool:
    """Blocking, measured, and able to reject at all (Tarone)."""
    return (
        reading.tier is Tier.BLOCKING
        and reading.is_measured
        and reading.finding is not None
        and reading.finding.can_reject
    )


def _signal(reading: Reading, adjusted: float | None, policy: Policy, alpha: Alpha, proof: Proof | None) -> Signal:
    proof = proof if reading.is_measured else None
    if proof is not None and proof.status is Status.FAIL:
        adjusted = min(1.0, math.exp(-proof.log_e))
    finding, harm = reading.finding, _harm(reading, adjusted)
    if proof is not None and proof.status is Status.PASS and harm <= alpha.rollback and _beyond(reading):
        proof = None  # certain to be inside its margin, which is not all it takes
    status, reason = _answer(reading, harm, alpha) if proof is None else (proof.status, _proven(reading, proof))
    need = pairs_needed(reading, adjusted, alpha) if status is Status.INCONCLUSIVE else None
    estimate = finding.estimate if finding else None
    return Signal(
        name=reading.name,
        kind=reading.kind,
        stratum=reading.stratum,
        metric=reading.metric,
        tier=reading.tier,
        status=status,
        baseline=finding.baseline if finding else None,
        candidate=finding.candidate if finding else None,
        effect=reading.effect,
        estimate=estimate.center if estimate else None,
        low=_finite(estimate.low) if estimate else None,
        high=_finite(estimate.high) if estimate else None,
        margin=reading.margin or None,
        n=reading.n,
        method="none" if finding is None else f"{METHOD}; {finding.method}" if proof else finding.method,
        p_harm=finding.harm.p if finding else None,
        p_harm_adjusted=adjusted,
        p_noninferior=finding.noninferior.p if finding else None,
        need=need,
        reason=reason + (_need_text(reading, need) if need else ""),
        warnings=(*reading.warnings, *_tolerated(reading, status, harm, alpha)),
        runbook=runbook_of(reading.name, policy),
    )


def _answer(reading: Reading, harm: float, alpha: Alpha) -> tuple[Status, str]:
    """The status and why; a distance that was only found has no margin to be inside of."""
    if reading.name in _FOUND and reading.finding is not None and reading.is_measured:
        return _drift(_FOUND[reading.name], reading.finding, harm, alpha)
    if reading.finding is not None and reading.finding.method == SHOWN_ONLY and not reading.missing:
        return Status.INCONCLUSIVE, f"{_change(reading)}: {SHOWN_ONLY}"
    return _status(reading, harm, alpha)


def _tolerated(reading: Reading, status: Status, harm: float, alpha: Alpha) -> tuple[str, ...]:
    """What the owner of a release should know though it passes."""
    if status is not Status.PASS or harm > alpha.rollback:
        return ()
    return (f"a real loss, though within tolerance: {_change(reading)}, {p_value(harm)}",)


def _need_text(reading: Reading, need: int) -> str:
    wait = f", about {math.ceil(need / reading.per_minute):,} minutes more" if reading.per_minute else ""
    return f"; need >= {reading.n + need} {reading.counted}, have {reading.n}{wait}"


def _finite(bound: float) -> float | None:
    """A bound that is not there is null, never infinity."""
    return bound if math.isfinite(bound) else None


def _harm(reading: Reading, adjusted: float | None) -> float:
    """The p-value harm is judged by; advisory signals answer for themselves."""
    if adjusted is not None:
        return adjusted
    counts = reading.finding is not None and reading.finding.can_reject and reading.tier is Tier.ADVISORY
    return reading.finding.harm.p if counts and reading.finding else 1.0


def _proven(reading: Reading, proof: Proof) -> str:
    """What an e-process was certain of, with its value and the bar it passed."""
    bar = f"e-value {e_text(proof.log_e)} >= {1 / proof.alpha:g}"
    if proof.status is Status.FAIL:
        return f"{_change(reading)}: harm {bar}, and {_bound(reading)} not excluded"
    return f"{_change(reading)}: {_bound(reading)} excluded, {bar}"


def _status(reading: Reading, harm: float, alpha: Alpha) -> tuple[Status, str]:
    finding = reading.finding
    if finding is None or reading.missing:
        return Status.INCONCLUSIVE, f"{MISSING}: {'; '.join(reading.missing)}"
    if reading.n < MINIMUM_PAIRS:
        return Status.INCONCLUSIVE, f"{reading.n} {reading.counted} decide nothing; {MINIMUM_PAIRS} are the least"
    inside, harmed = finding.noninferior.p < alpha.promote, harm <= alpha.rollback
    numbers = f"{_change(reading)} ({_interval(reading, finding)})"
    if harmed and not inside:
        return Status.FAIL, f"{numbers}: harm {p_value(harm)} <= {alpha.rollback:g}, and {_bound(reading)} not excluded"
    if not inside:
        return Status.INCONCLUSIVE, f"{numbers}: {_open(reading, finding, harm, alpha)}"
    if harmed and _beyond(reading):
        return Status.INCONCLUSIVE, (
            f"{numbers}: inside its margin, but a proven loss ({p_value(harm)} <= {alpha.rollback:g}) beyond the "
            f"pooled margin of {100 * (reading.sign_off or 0):g} points needs a person's sign-off"
        )
    return Status.PASS, f"{numbers}: {_bound(reading)} excluded, {p_value(finding.noninferior.p)} < {alpha.promote:g}"


def _open(reading: Reading, finding: Finding, harm: float, alpha: Alpha) -> str:
    """What is neither proven nor excluded: harm that may be, or that was seen and is not yet certain."""
    one = 1.0 if reading.effect == "ratio" else 0.0
    past = reading.worse * (finding.estimate.center - one) > (reading.margin or 0.0) - one
    if not (past and finding.can_reject):
        return f"{_bound(reading)} not excluded"
    limit = "its floor" if reading.kind == "floor" else _bound(reading).removesuffix(" is")
    return f"beyond {limit}, but on too little evidence to be certain (harm {p_value(harm)} > {alpha.rollback:g})"


_FOUND = {
    "drift/embedding": "energy distance {:.3g} between the arms' answers",
    "drift/duplicates": "{:.1%} more of the answers repeat one to another prompt",
}
"""What was measured where the answers were, in words."""


def _drift(words: str, finding: Finding, harm: float, alpha: Alpha) -> tuple[Status, str]:
    """Answers that moved, for good or ill, or no sign of it, which excludes nothing."""
    is_share = finding.method.startswith("binomial")
    words = "{:.1%} of the answers are less alike than the baseline's own" if is_share else words
    found, p = words.format(finding.candidate), p_value(harm)
    if harm <= alpha.rollback:
        return Status.FAIL, f"{found}: they moved, {p} <= {alpha.rollback:g}"
    return Status.INCONCLUSIVE, f"{found}: no drift found, {p} > {alpha.rollback:g}, and none excluded"


def _beyond(reading: Reading) -> bool:
    """Whether the loss, if it is one, needs a person's sign-off."""
    if reading.finding is None or reading.sign_off is None:
        return False
    return reading.worse * reading.finding.estimate.center > reading.sign_off


def _change(reading: Reading) -> str:
    """`84.5% -> 69.0%, -15.5 points`."""
    if reading.finding is None:
        return "not measured"
    show = VALUE[reading.unit]
    effect = effect_text(reading.effect, reading.unit, reading.finding.estimate.center)
    if reading.kind == "floor":
        return f"{show(reading.finding.candidate)} against a floor of {show(reading.finding.baseline)}, {effect}"
    if reading.unit is Unit.WON:
        lost, won = reading.finding.baseline, reading.finding.candidate
        return f"{show(lost)} graded worse, {show(won)} better, {effect}"
    return f"{show(reading.finding.baseline)} -> {show(reading.finding.candidate)}, {effect}"


def _interval(reading: Reading, finding: Finding) -> str:
    estimate = finding.estimate
    low, high = (effect_text(reading.effect, reading.unit, bound) for bound in (estimate.low, estimate.high))
    return f"{100 * estimate.confidence:g}% CI {low.removesuffix(' points')} to {high}"


def _bound(reading: Reading) -> str:
    if reading.kind == "floor":
        return "a mean below the floor is"
    if reading.floor_s:
        return f"a rise of {seconds(reading.floor_s)} ({reading.margin:.3g}x the baseline) is"
    return f"{bound_text(reading.effect, reading.unit, reading.worse, reading.margin or 0)} is"
