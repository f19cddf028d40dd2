"""What labels and verdicts say of a judge, stratum by stratum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from canary.agreement import Agreement, Flips, Rate
from canary.records import POOLED
from canary.signals.judged import FIT_ALPHA, describe
from canary.stats.judge import Fitness, flip_rate, kappa, measure_fitness
from canary.stats.results import Estimate

DIGITS = 6
"""Kept of a rate that is only read by people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """One labelled answer, and all that a judge said of it."""

    stratum: str | None
    label: bool
    said: bool | None
    """None where nothing that counts was said."""
    swapped: bool | None = None
    again: tuple[bool, ...] = ()
    """What it said when it was asked the same once more."""


def agreements_of(found: Sequence[Verdicts]) -> tuple[Agreement, ...]:
    """Over all strata first, then in each that has a name."""
    names = sorted({each.stratum for each in found if each.stratum is not None} - {"default"})
    parts = {POOLED: found} | {name: [each for each in found if each.stratum == name] for name in names}
    return tuple(_agreement(name, part) for name, part in parts.items())


def reason_of(found: Sequence[Verdicts]) -> str:
    """Why the judge is fit or unfit over all strata."""
    fitness = _fitness(found)
    if fitness is None:
        return "people gave one label only, so half of what the judge can get wrong is unknown"
    return describe(fitness)


def _fitness(found: Sequence[Verdicts]) -> Fitness | None:
    """None where people gave one label only: then half of a judge cannot be known."""
    if len({label for label, _ in _pairs(found)}) < 2:
        return None
    people, judge = np.array(_pairs(found), dtype=float).T
    return measure_fitness(people, judge, alpha=FIT_ALPHA)


def _pairs(found: Sequence[Verdicts]) -> list[tuple[bool, bool]]:
    """What people and the judge said, where it said something."""
    return [(each.label, each.said) for each in found if each.said is not None]


def _agreement(stratum: str, found: Sequence[Verdicts]) -> Agreement:
    known = [each for each in found if each.said is not None]
    people, judge = np.array(_pairs(found), dtype=bool).reshape(-1, 2).T
    fitness = _fitness(found)
    return Agreement(
        stratum=stratum,
        both_yes=int((people & judge).sum()),
        missed=int((people & ~judge).sum()),
        flattered=int((~people & judge).sum()),
        both_no=int((~people & ~judge).sum()),
        agreement=_digits(float((people == judge).mean())) if known else 0.0,
        base_rate=_digits(float(people.mean())) if known else 0.0,
        kappa=_digits(kappa(people, judge)) if known else 0.0,
        sensitivity=None if fitness is None else _rate(fitness.sensitivity),
        specificity=None if fitness is None else _rate(fitness.specificity),
        informedness=None if fitness is None else _rate(fitness.informedness),
        fit=fitness is not None and fitness.is_fit,
        order=_flips([(each.said, each.swapped) for each in known if each.swapped is not None]),
        repetition=_flips([(each.said, again) for each in known for again in each.again]),
    )


def _rate(estimate: Estimate) -> Rate:
    low, high = max(estimate.low, -1.0), min(estimate.high, 1.0)
    return Rate(value=_digits(estimate.center), low=_digits(low), high=_digits(high))


def _flips(pairs: Sequence[tuple[bool | None, bool | None]]) -> Flips | None:
    if not pairs:
        return None
    first, second = zip(*pairs, strict=True)
    return Flips(n=len(pairs), rate=_digits(flip_rate(first, second)))


def _digits(value: float) -> float:
    return round(value, DIGITS) + 0.0
