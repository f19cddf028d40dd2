"""One arm against an absolute floor."""

import numpy as np
import pytest
from scipy import stats

from canary.stats.floor import check_floor


def test_binary_floor_is_the_exact_binomial() -> None:
    """Both p-values and the interval are scipy's exact ones."""
    values = np.repeat([1, 0], [45, 5])
    found = check_floor(values, np.arange(50), floor=0.8, alpha=0.05, kind="binary")
    low, high = stats.binomtest(45, 50).proportion_ci(0.9)
    assert found.noninferior.p == pytest.approx(stats.binomtest(45, 50, 0.8, alternative="greater").pvalue)
    assert found.harm.p == pytest.approx(stats.binomtest(45, 50, 0.8, alternative="less").pvalue)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((low - 0.8, high - 0.8))
    assert found.margin == 0


@pytest.mark.parametrize("passed", [0, 50])
def test_binary_floor_at_the_ends(passed: int) -> None:
    """All failed is far below, all passed is above, and neither is NaN."""
    values = np.repeat([1, 0], [passed, 50 - passed])
    found = check_floor(values, np.arange(50), floor=0.8, alpha=0.05, kind="binary")
    assert (found.noninferior.p < 0.05) is (passed == 50)
    assert (found.harm.p < 0.05) is (passed == 0)
    assert found.can_reject is (passed == 0)


@pytest.mark.parametrize("kind", ["bounded", "unbounded", "binary"])
def test_mean_floor_agrees_with_its_interval(kind: str) -> None:
    """The low end is above the floor exactly when the floor is shown."""
    values = np.clip(np.random.default_rng(0).normal(0.6, 0.2, 80), 0, 1)
    for floor in (0.3, 0.55, 0.6, 0.9):
        found = check_floor(values, np.arange(80) // 2, floor=floor, alpha=0.05, kind=kind)  # type: ignore[arg-type]
        assert (found.noninferior.p < 0.05) is (found.estimate.low > 0)
        assert (found.harm.p < 0.05) is (found.estimate.high < 0)


def test_equal_scores_do_not_prove_a_floor_beyond_their_number() -> None:
    """Ten perfect answers do not show 95 %; a hundred show 90 %."""
    few = check_floor(np.ones(10), np.arange(10), floor=0.95, alpha=0.05, kind="bounded")
    many = check_floor(np.ones(100), np.arange(100), floor=0.9, alpha=0.05, kind="bounded")
    assert few.noninferior.p > 0.05 > many.noninferior.p
    assert (few.estimate.high, many.estimate.high) == pytest.approx((0.05, 0.1))


def test_equal_unbounded_scores_say_nothing() -> None:
    """Without variance or bounds p stays 1, and a warning says why."""
    found = check_floor(np.full(30, 5.0), np.arange(30), floor=4.0, alpha=0.05, kind="unbounded")
    assert (found.harm.p, found.noninferior.p) == (1.0, 1.0)
    assert "no variance" in found.warnings[0]


def test_a_floor_outside_the_scale_is_an_error() -> None:
    """Scores and floor must lie where the kind says."""
    with pytest.raises(ValueError, match="floor"):
        check_floor([1.0], [0], floor=1.5, alpha=0.05, kind="bounded")
    with pytest.raises(ValueError, match="values"):
        check_floor([2.0], [0], floor=0.5, alpha=0.05, kind="bounded")
