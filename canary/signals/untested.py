"""Signals without a p-value: they stand outside of the family of tests."""

from __future__ import annotations

from collections.abc import Mapping

UNTESTED: Mapping[str, None] = dict.fromkeys(
    ("stratum", "low", "high", "margin", "p_harm", "p_harm_adjusted", "p_noninferior", "need", "runbook")
)
"""What such a signal of the whole run has not."""
