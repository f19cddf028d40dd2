"""What a statistical method answers with.

Sources of every formula stand at the function that uses it; this file only
fixes the vocabulary shared by all of them. No field is ever NaN; a bound that
the evidence does not give is infinite.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A point estimate with its interval."""

    center: float
    low: float
    """`-inf` where the evidence gives no lower bound."""
    high: float
    """`inf` where the evidence gives no upper bound."""
    confidence: float
    """Two-sided coverage of `[low, high]`, in (0, 1)."""
    n: int
    """Independent units behind the estimate (pairs, clusters or requests)."""
    method: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A one-sided test."""

    __test__ = False  # not a pytest class

    p: float
    """P-value in [0, 1]."""
    n: int
    method: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Two one-sided tests of the same evidence, and their interval.

    `effect` is oriented as measured (candidate minus baseline, or candidate
    over baseline); whether up or down is harm is the caller's to say when it
    asks for the finding.
    """

    estimate: Estimate
    """Its confidence is 1 - 2*alpha_promote, the inverse of `noninferior`."""
    harm: Test
    """Null: the candidate is no worse than the baseline."""
    noninferior: Test
    """Null: the candidate is worse by the margin or more."""
    can_reject: bool
    """False when no adverse event occurred in either arm, so that `harm`
    could not have rejected whatever the truth (Tarone 1990)."""
    baseline: float
    """The quantity in the baseline arm."""
    candidate: float
    """The quantity in the candidate arm."""
    margin: float
    """The margin in force, never negative, on the scale of the estimate: a
    difference, or a ratio above 1 (a floor in seconds has been folded in)."""
    method: str
    """Both methods by name, and why this data calls for them."""
    warnings: tuple[str, ...] = ()
    discordance: float | None = None
    """Share of pairs whose result differs; None where results are not pass/fail."""
    spread: float | None = None
    """Standard deviation of one unit's difference; None where no mean is compared."""
    units: tuple[int, int] | None = None
    """Units of the baseline and the candidate where bad events of two streams are counted."""
    reach: float = 0.0
    """The loss of the worst-case unit that was added to the mean."""
