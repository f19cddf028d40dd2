"""Error budgets: how fast a service spends what its objective allows."""

from __future__ import annotations

from scipy import special

from canary.stats.results import Test


def burn_rate(error_rate: float, objective: float) -> float:
    """Errors over what the objective (a success rate in (0, 1)) allows.

    1 spends exactly the budget of the period; 14.4 spends 2 % of 30 days in
    an hour (Google SRE Workbook, chapter 5).
    """
    _require_objective(objective)
    return error_rate / (1 - objective)


def hours_to_exhaust(burn: float, period_days: float) -> float:
    """Hours until a whole period's budget is gone at a burn rate above 0."""
    return period_days * 24 / burn if burn > 0 else float("inf")


def burn_threshold(budget_share: float, window_hours: float, period_days: float) -> float:
    """Burn rate that spends `budget_share` of the budget within the window."""
    return budget_share * period_days * 24 / window_hours


def short_window(long_window_hours: float) -> float:
    """The window that must burn too, so that an alarm ends with the damage."""
    return long_window_hours / 12


def over_objective(errors: int, requests: int, objective: float) -> Test:
    """Exact binomial test that errors keep within the objective.

    One error in 69 requests is already 14.4 times a 99.9 % objective, so a
    burn rate on low traffic needs this beside it.
    """
    _require_objective(objective)
    if not 0 <= errors <= requests:
        raise ValueError(f"'errors' must lie in 0..{requests} (got {errors})")
    p = float(special.bdtrc(errors - 1, requests, 1 - objective)) if errors > 0 else 1.0
    return Test(p=p, n=requests, method="exact binomial against the objective")


def _require_objective(objective: float) -> None:
    """Raise ValueError unless the objective is a share in (0, 1)."""
    if not 0 < objective < 1:
        raise ValueError(f"'objective' must be in (0, 1) (got {objective})")
