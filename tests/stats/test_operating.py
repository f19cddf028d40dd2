"""How often the whole rule promotes, holds and rolls back."""

import numpy as np
import pytest

from canary.stats.multiplicity import holm
from canary.stats.operating import OperatingCharacteristics, _holm_rows
from canary.stats.paired import compare_binary
from canary.stats.power import joint_promote_probability, tango_power
from canary.stats.vector import Floats

ONE = np.array([1.0] + [0.0] * 7)


def characteristics(
    psi: float, n: int, margin: float, delta: float | Floats = 0.0, *, strata: int = 8, replicates: int = 3_000
) -> OperatingCharacteristics:
    """The default pooled margin of 3 points over equal strata."""
    return joint_promote_probability(
        [n] * strata,
        psi,
        pooled_margin=0.03,
        stratum_margins=margin,
        delta=delta,
        replicates=replicates,
        seed=1,
    )


TABLE = [
    (0.02, 60, 0.10, [(0.83, 0.00), (0.04, 0.49), (0, 0.98), (0.03, 0.95), (1, 0)]),
    (0.02, 150, 0.10, [(1, 0), (0.01, 0.97), (0, 1), (0.04, 0.95), (1, 0)]),
    (0.05, 60, 0.10, [(0.35, 0.01), (0.02, 0.42), (0, 0.97), (0.01, 0.70), (0.79, 0)]),
    (0.05, 150, 0.10, [(0.97, 0.01), (0, 0.97), (0, 1), (0.04, 0.95), (1, 0)]),
    (0.10, 60, 0.10, [(0.07, 0.02), (0, 0.42), (0, 0.98), (0, 0.37), (0.30, 0)]),
    (0.10, 150, 0.05, [(0.02, 0.03), (0, 1), (0, 1), (0, 0.81), (0.25, 0)]),
    (0.10, 150, 0.10, [(0.80, 0.03), (0.01, 0.97), (0, 1), (0.03, 0.81), (0.98, 0)]),
    (0.10, 300, 0.10, [(0.96, 0), (0, 0.96), (0, 1), (0.03, 0.95), (1, 0)]),
    (0.15, 150, 0.10, [(0.49, 0.04), (0.02, 0.79), (0, 1), (0.02, 0.62), (0.83, 0.01)]),
    (0.15, 300, 0.10, [(0.94, 0.02), (0.01, 0.96), (0, 1), (0.03, 0.92), (1, 0)]),
]
SHIFTS: list[float | Floats] = [0.0, -0.1 * ONE, -0.2 * ONE, -0.03, 0.02]


@pytest.mark.slow
@pytest.mark.parametrize(("psi", "n", "margin", "cells"), TABLE)
def test_published_characteristics(psi: float, n: int, margin: float, cells: list[tuple[float, float]]) -> None:
    """Every cell is reproduced within 3 SE of both simulations and rounding."""
    for delta, (promote, rollback) in zip(SHIFTS, cells, strict=True):
        found = characteristics(psi, n, margin, delta)
        for ours, theirs in ((found.promote, promote), (found.rollback, rollback)):
            error = np.sqrt(max(theirs * (1 - theirs), 0.003) / 3_000 * 2)
            assert ours == pytest.approx(theirs, abs=3 * error + 0.005)
        assert found.promote + found.hold + found.rollback == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize(("psi", "promote"), [(0.02, 1.0), (0.05, 0.89), (0.10, 0.64)])
def test_five_strata_of_120(psi: float, promote: float) -> None:
    """An unchanged candidate over 5 strata of 120 is promoted as often as tabled."""
    assert characteristics(psi, 120, 0.1, strata=5).promote == pytest.approx(promote, abs=0.035)


@pytest.mark.slow
def test_one_large_stratum_losing_seven_points_is_never_promoted() -> None:
    """One of eight strata of 1,500 at -7 points is held or rolled back, always."""
    found = characteristics(0.1, 1_500, 0.1, -0.07 * ONE)
    assert found.promote == 0
    assert found.hold >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("psi", [0.02, 0.05, 0.10, 0.15])
@pytest.mark.parametrize("n", [30, 150])
def test_unchanged_candidates_are_rolled_back_at_most_at_alpha(psi: float, n: int) -> None:
    """Fourteen strata and the pooled signal, 4,000 runs: at most .05 + 3 SE."""
    found = characteristics(psi, n, 0.1, strata=14, replicates=4_000)
    assert found.rollback <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4_000)


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 150, 300])
@pytest.mark.parametrize("psi", [0.10, 0.15])
def test_one_stratum_at_its_margin_is_promoted_at_most_at_alpha(psi: float, n: int) -> None:
    """Exactly one of eight strata truly at -10 points: promoted at most .05 + 3 SE."""
    found = characteristics(psi, n, 0.1, -0.1 * ONE, replicates=4_000)
    assert found.promote <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4_000)


@pytest.mark.slow
def test_small_category_losing_under_a_rising_average() -> None:
    """5 % of 2,000 cases lose 15 points while the rest gain 2: rolled back nearly always."""
    found = joint_promote_probability(
        [100, 1_900],
        0.05,
        pooled_margin=0.03,
        stratum_margins=0.1,
        delta=[-0.15, 0.02],
        replicates=3_000,
        seed=0,
    )
    assert found.rollback >= 0.97
    assert found.promote <= 0.002


def test_a_single_stratum_is_the_exact_power() -> None:
    """With one stratum and one margin the simulation agrees with enumeration."""
    found = joint_promote_probability([300], 0.1, pooled_margin=0.05, stratum_margins=0.05, replicates=20_000, seed=0)
    exact = tango_power(300, 0.1, 0.0, 0.05, 0.05)
    assert found.promote == pytest.approx(exact, abs=3 * found.error + 0.002)


def test_characteristics_depend_on_the_seed_alone() -> None:
    """The same plan and seed give the same shares."""
    assert characteristics(0.05, 60, 0.1) == characteristics(0.05, 60, 0.1)


def test_fewer_than_ten_pairs_hold() -> None:
    """A stratum of nine pairs is inconclusive whatever it shows."""
    found = joint_promote_probability([9, 500], 0.0, pooled_margin=0.03, stratum_margins=0.1, seed=0)
    assert (found.promote, found.hold) == (0, 1)


def test_production_weights_change_the_pooled_signal() -> None:
    """Weight on the smaller strata costs power; nearly equal weights cost little."""
    plans = [
        joint_promote_probability(
            [60, 240], 0.05, pooled_margin=0.03, stratum_margins=0.2, weights=weights, replicates=4_000, seed=0
        ).promote
        for weights in ([0.2, 0.8], [0.2 + 1e-6, 0.8 - 1e-6], [0.7, 0.3])
    ]
    assert plans[0] == pytest.approx(plans[1], abs=0.07)
    assert plans[2] < plans[0] - 0.1


def test_rowwise_holm_is_holm() -> None:
    """Each simulated run is corrected as the gate corrects its one."""
    rng = np.random.default_rng(0)
    p, kept = rng.random((50, 9)) ** 2, rng.random((50, 9)) < 0.7
    rows = _holm_rows(p, kept)
    for row, mask, found in zip(p, kept, rows, strict=True):
        assert found[mask] == pytest.approx(holm(list(row[mask])))
        assert np.all(found[~mask] == 1)


@pytest.mark.slow
def test_simulated_signals_are_the_gates() -> None:
    """Counts judged in bulk and pairs judged one by one give the same p-values."""
    rng = np.random.default_rng(0)
    base = (rng.random((200, 80)) < 0.8).astype(float)
    cand = np.where(rng.random((200, 80)) < 0.15, 1 - base, base)
    findings = [compare_binary(b, c, margin=0.1, alpha=0.05) for b, c in zip(base, cand, strict=True)]
    assert [f.noninferior.p < 0.05 for f in findings] == [f.estimate.low > -0.1 for f in findings]
