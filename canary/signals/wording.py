"""Numbers as people read them, in the reasons signals give and in reports."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

MISSING = "evidence is missing"
"""How the reason of a signal begins that could not be measured in full."""

SHOWN_ONLY = "its test has one look, at the end: shown only while traffic goes on"
"""The method of a signal that has one look only, while looks go on."""

SEQUENCES = "difference of two confidence sequences"
"""The method of a rate while looks go on; what it bounds is shown, its e-processes decide."""

_DIGITS = 3
_LARGEST_LOG = 700.0


class Unit(enum.Enum):
    """What a signal's two values are counted in."""

    SHARE = "share"
    SCORE = "score"
    WON = "won"
    """Shares of prompts answered worse and better than the other arm."""
    SECONDS = "seconds"
    DOLLARS = "dollars"


def percent(value: float) -> str:
    """`0.845` as `84.5%`."""
    return f"{100 * value:.1f}%"


def points(value: float) -> str:
    """`-0.155` as `-15.5`."""
    return f"{100 * value:+.1f}"


def seconds(value: float) -> str:
    """`1.84 s`, `412 ms`, `2.10 ms`, `35.0 µs`."""
    for scale, name in ((1.0, "s"), (1e-3, "ms")):
        if abs(value) >= 0.9995 * scale:
            return f"{significant(value / scale)} {name}"
    return f"{significant(value * 1e6)} µs" if value else "0 s"


def dollars(value: float) -> str:
    """`$0.00123`, `$12.3`, `$1234`: three digits, however small."""
    return f"${significant(value)}"


def significant(value: float) -> str:
    """Three significant digits; an exponent only beyond a millionth or million."""
    if value == 0:
        return "0"
    if not 1e-6 <= abs(value) < 1e6:
        return f"{value:.2e}"
    whole = math.floor(math.log10(abs(float(f"{value:.2e}"))))
    return f"{value:.{max(0, _DIGITS - 1 - whole)}f}"


def score(value: float) -> str:
    """A plain number with three figures after the point."""
    return f"{value:.3f}"


VALUE: dict[Unit, Callable[[float], str]] = {
    Unit.SHARE: percent,
    Unit.SCORE: score,
    Unit.WON: percent,
    Unit.SECONDS: seconds,
    Unit.DOLLARS: dollars,
}


COUNTED = (Unit.SHARE, Unit.WON)


def p_value(p: float) -> str:
    """Two figures, and never a bare zero."""
    return "p < 0.0001" if p < 1e-4 else f"p {p:.2g}"


def e_text(log_e: float) -> str:
    """An e-value from its logarithm, three figures, as large as numbers go."""
    return significant(math.exp(min(log_e, _LARGEST_LOG)))


def effect_text(effect: str, unit: Unit, value: float) -> str:
    """A difference in points or units, or a ratio."""
    if effect == "ratio":
        return f"{value:.3g}x"
    return f"{points(value)} points" if unit in COUNTED else f"{value:+.3f}"


def bound_text(effect: str, unit: Unit, worse: int, margin: float) -> str:
    """The margin as a rule: `a drop of 10 points`, `1.15x the baseline`."""
    if effect == "ratio":
        return f"{margin:.3g}x the baseline"
    direction = "a rise" if worse > 0 else "a drop"
    return f"{direction} of {100 * margin:g} points" if unit in COUNTED else f"{direction} of {margin:g}"
