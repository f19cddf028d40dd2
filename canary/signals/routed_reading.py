"""A test of two streams as a reading."""

from __future__ import annotations

from collections.abc import Callable

from canary.contrast import Contrast
from canary.records import Tier
from canary.signals.reading import Reading
from canary.signals.wording import Unit
from canary.stats.results import Finding


def read_contrast(  # noqa: PLR0913 - one name per fact a signal declares
    contrast: Contrast,
    test: Callable[[], Finding],
    *,
    name: str,
    metric: str,
    tier: Tier,
    effect: str,
    unit: Unit,
    worse: int,
    margin: float,
    sign_off: float | None = None,
) -> Reading:
    """Run one test on two streams; a test that is undefined is missing evidence."""
    finding, missing, n = None, contrast.missing, contrast.n
    if n:
        try:
            finding = test()
        except ValueError as undefined:
            missing = (*missing, str(undefined))
    elif not missing:
        missing = ("no request of one arm carries it",)
    return Reading(
        name=name,
        kind=contrast.kind,
        stratum=contrast.stratum,
        metric=metric,
        tier=tier,
        effect=effect,
        unit=unit,
        worse=worse,
        margin=finding.margin if finding else margin,
        sign_off=sign_off,
        finding=finding,
        n=finding.estimate.n if finding else n,
        missing=missing,
        warnings=(*contrast.warnings, *(finding.warnings if finding else ())),
        counted=f"{'sessions' if contrast.sticky else 'requests'} an arm",
        per_minute=n / contrast.minutes if contrast.minutes > 0 else None,
    )
