"""Both arms held against the baseline's next answer: an unchanged candidate seldom alarms, a drifted one does."""

from __future__ import annotations

import numpy as np
import pytest

from canary.stats.paired import compare_scores
from canary.stats.vector import Floats, Ints

RUNS = 2_000
LIMIT = 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)
N = 200

pytestmark = pytest.mark.slow


def drawn(rng: np.random.Generator, shares: Floats, repeat: int) -> Ints:
    """Answers (prompts, repeat), each one of as many kinds as `shares` (prompts, kinds) has columns."""
    steps = np.cumsum(shares, axis=1)[:, None, :]
    passed = np.sum(rng.random((len(shares), repeat, 1)) > steps, axis=2)
    return np.asarray(np.minimum(passed, shares.shape[1] - 1), dtype=np.int64)


def alarm(baseline: Ints, candidate: Ints, alike: Floats) -> bool:
    """Whether harm shows, `alike` (kinds, kinds) being how like two answers are."""
    beside = np.roll(baseline, -1, axis=1)
    before, after = (alike[answers, beside].mean(axis=1) for answers in (baseline, candidate))
    found = compare_scores(before, after, np.arange(len(before)), margin=0.1, alpha=0.05, bounded=True, seed=0)
    return found.can_reject and found.harm.p <= 0.05


@pytest.mark.parametrize("repeat", [2, 3])
@pytest.mark.parametrize(("kinds", "spread"), [(2, 0.3), (10, 1.0)])
@pytest.mark.parametrize("is_graded", [False, True])
def test_unchanged_is_rarely_harm(repeat: int, kinds: int, spread: float, *, is_graded: bool) -> None:
    """Answers that are mostly one, or of ten kinds; alike only where equal, or by degrees."""
    rng = np.random.default_rng([repeat, kinds, is_graded])
    alarms = 0
    for _ in range(RUNS):
        shares = rng.dirichlet(np.full(kinds, spread), size=N)
        between = rng.random((kinds, kinds)) if is_graded else np.zeros((kinds, kinds))
        alike = np.maximum(np.maximum(between, between.T), np.eye(kinds))
        alarms += alarm(drawn(rng, shares, repeat), drawn(rng, shares, repeat), alike)

    assert alarms / RUNS <= LIMIT


def test_drift_shows() -> None:
    """Where two of five prompts are answered otherwise, nine of ten runs alarm."""
    rng = np.random.default_rng(5)
    runs, alarms = 400, 0
    for _ in range(runs):
        before, other = (rng.dirichlet(np.full(5, 0.3), size=N) for _ in range(2))
        after = np.where(rng.random((N, 1)) < 0.4, other, before)
        alarms += alarm(drawn(rng, before, 2), drawn(rng, after, 2), np.eye(5))

    assert alarms / runs > 0.9
