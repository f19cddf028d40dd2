"""The release rules of the benchmark: each is the one that was published, ours is the product's."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))  # benchmarks are scripts, not installed

from benchmarks.decisions import grid, latency, pairs, table
from benchmarks.decisions.cell import BETTER, HARM, UNCHANGED, kind_of
from benchmarks.decisions.counts import HOLD, PROMOTE, ROLLBACK, Counts, Floats, Ints
from benchmarks.decisions.kayenta import (
    HIGH,
    LOW,
    PASS,
    find_shift,
    judge_counts,
    judge_values,
    rank_statistic,
    shift_of_values,
)
from benchmarks.decisions.product import mismatches, plan_of, product_verdict
from benchmarks.decisions.rules import (
    RULES,
    adjust,
    kayenta,
    mean_threshold,
    nel_gate,
    nel_gate_our_margins,
    nel_status,
    nel_verdict,
    no_significant_difference,
    this_gate,
)
from canary.stats.multiplicity import holm
from canary.stats.operating import joint_promote_probability


def counts(*strata: tuple[int, int, int, int]) -> Counts:
    """One run from (lost, won, both, neither) of each stratum."""
    return Counts.of_cells(np.array([strata], dtype=np.int64))


def passed(baseline: int, candidate: int, n: int) -> Counts:
    """One run of one stratum from what the arms passed, as many pairs alike as can be."""
    both = min(baseline, candidate)
    return counts((baseline - both, candidate - both, both, n - max(baseline, candidate)))


def points(tally: dict[float, int]) -> Floats:
    """The points that were tallied by value."""
    return np.repeat(np.array(list(tally)), list(tally.values()))


def every_table(n: int, psi: float, delta: float) -> tuple[Counts, Floats]:
    """All results of n pairs as runs of one stratum, and how probable each is."""
    lost, won = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    kept = lost + won <= n
    rest = n - lost[kept] - won[kept]
    cells = np.stack([lost[kept], won[kept], rest, np.zeros_like(rest)], axis=1)[:, None, :]
    shares = [(psi - delta) / 2, (psi + delta) / 2, 1 - psi]
    return Counts.of_cells(cells), stats.multinomial.pmf(cells[:, 0, :3], n, shares)


R_SMALL = (
    {1.5: 2, 2.0: 16, 2.5: 18, 3.0: 16, 3.5: 10, 4.0: 8, 4.5: 4, 5.0: 6, 5.5: 2, 6.0: 5, 8.0: 1, 15.5: 1, 54.5: 1},
    {
        1.5: 9, 2.0: 16, 2.5: 22, 3.0: 17, 3.5: 9, 4.0: 5, 4.5: 1, 5.0: 3, 5.5: 1, 6.0: 2, 6.5: 2, 7.0: 1, 7.5: 1,
        16.5: 1,
    },
)  # fmt: skip
R_LARGE = (
    {
        0.0: 1, 0.5: 7, 1.0: 32, 1.5: 70, 2.0: 33, 2.5: 22, 3.0: 6, 3.5: 2, 4.0: 3, 4.5: 1, 5.5: 1, 7.0: 1, 7.5: 1,
    },
    {0.5: 20, 1.0: 41, 1.5: 67, 2.0: 37, 2.5: 3, 3.0: 2, 3.5: 3, 4.0: 1, 5.0: 1, 5.5: 3, 8.5: 1, 19.0: 1},
)  # fmt: skip


@pytest.mark.parametrize(
    ("baseline", "candidate", "confidence", "expected"),
    [
        ({1.0: 1, 2.0: 1, 3.0: 1, 4.0: 1}, {10.0: 1, 20.0: 1, 30.0: 1, 40.0: 1}, 0.95, (6.0, 39.0, 22.5)),
        (*R_SMALL, 0.95, (-0.500002521696696, -3.486287505871302e-05, -0.4999393907180323)),
        (*R_LARGE, 0.98, (-0.4999173250549087, -6.912685789769486e-06, -3.45044082729315e-05)),
    ],
    ids=["separated", "R, 90 points", "R, 180 points"],
)
def test_kayenta_intervals_are_the_published_ones(
    baseline: dict[float, int], candidate: dict[float, int], confidence: float, expected: tuple[float, float, float]
) -> None:
    """Ends agree with Kayenta's ties to R to the sixth place, residue included; the shift to its tolerance of 1e-4."""
    shift = shift_of_values(points(baseline), points(candidate), confidence)

    assert (shift.low[0], shift.high[0]) == pytest.approx(expected[:2], abs=1e-6)
    assert shift.estimate[0] == pytest.approx(expected[2], abs=1e-4)


FIVE = [1.0, 2.2, 1.1, 2.5, 3.0], [20.0, 22.0, 21.0, 25.0, 30.0]


@pytest.mark.parametrize(
    ("baseline", "candidate", "allowed", "label"),
    [
        (*FIVE, (0.8, 1.2), HIGH),
        (*FIVE, (1.0, 5.0), HIGH),
        (*FIVE, (1.0, 13.0), PASS),
        ([10.0, 20.2, 10.1, 20.5, 30.0], [2.0, 2.0, 2.0, 2.0, 3.0], (1.0, 1.0), LOW),
        ([1.0, 1.0], [1.0, 1.0, 1.0], (1.0, 1.0), PASS),
        ([5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0], (1.0, 1.0), PASS),
        ([1.0] * 5, [0.0, 1.0, 1.0, 1.0, 1.0], (1.0, 1.0), PASS),
        ([1.0] * 5, [1.0, 1.0, 1.0, 1.0, 10.0], (1.0, 1.0), PASS),
        ([1.0] * 5, [10.0] * 5, (1.0, 1.0), HIGH),
        ([0.0] * 5, [10.0] * 5, (1.0, 1.0), HIGH),
        ([0.0] * 5, [54.9, 54.5, 55.1, 55.6, 57.4], (0.8, 1.2), HIGH),
        ([54.9, 54.5, 55.1, 55.6, 57.4], [0.0] * 5, (0.8, 1.2), LOW),
        ([0.0] * 5, [0.0] * 5, (0.8, 1.2), PASS),
    ],
)
def test_kayenta_labels_are_the_published_ones(
    baseline: list[float], candidate: list[float], allowed: tuple[float, float], label: int
) -> None:
    """Its classifier's examples of ties, zeros and effect sizes, at their tolerance .10 and 95 %."""
    found = judge_values(np.array(baseline), np.array(candidate), tolerance=0.10, confidence=0.95, allowed=allowed)

    assert found == label


def test_kayenta_has_no_least_number_of_points() -> None:
    """Two points against two, fully separated, are High at 98 %; the exact p-value is 1/3."""
    baseline, candidate = np.array([1.0, 2.0]), np.array([3.0, 4.0])

    assert judge_values(baseline, candidate) == HIGH
    assert stats.mannwhitneyu(baseline, candidate, method="exact").pvalue == pytest.approx(1 / 3)
    assert kayenta(counts((2, 0, 0, 0)))[0] == ROLLBACK


def test_kayenta_passes_a_fall_from_95_to_85_percent() -> None:
    """On 200 pass/fail items the shift is 0, though the fall has p < .001: the label is rounding residue."""
    fall = passed(190, 170, 200)
    arms = [np.repeat([1.0, 0.0], [n, 200 - n]) for n in (190, 170)]
    shift = shift_of_values(arms[0], arms[1])

    assert kayenta(fall)[0] == PROMOTE
    assert stats.fisher_exact([[190, 10], [170, 30]]).pvalue < 0.001 + 5e-4
    assert max(np.abs([shift.low, shift.high, shift.estimate]).ravel()) < 1e-4


def test_kayenta_on_counts_is_kayenta_on_points() -> None:
    """A column of passes and failures is judged as its ones and zeros would be."""
    rng = np.random.default_rng(0)
    for n in (2, 10, 37, 200):
        for base, cand in rng.integers(0, n + 1, (25, 2)).tolist():
            arms = [np.repeat([1.0, 0.0], [k, n - k]) for k in (base, cand)]
            assert judge_counts(passed(base, cand, n))[0, 0] == judge_values(arms[0], arms[1]), (base, cand, n)


def test_kayenta_roots_are_roots() -> None:
    """Where the statistic is smooth enough the ends are where it passes the quantiles, as scipy finds them."""
    rng = np.random.default_rng(0)
    baseline, candidate = rng.normal(10, 1, 400), rng.normal(10.5, 1, 400)
    statistic = rank_statistic(baseline, candidate)
    shift = find_shift(statistic, np.array([-5.0]), np.array([5.0]), 0.98)
    for at, level in ((shift.low, 2.3263), (shift.high, -2.3263), (shift.estimate, 0.0)):
        assert statistic(at - 2e-4)[0] > level > statistic(at + 2e-4)[0]


def test_kayenta_has_nothing_to_say_without_pairs() -> None:
    """A stratum that a run did not draw fails nothing."""
    assert kayenta(counts((0, 0, 0, 0), (0, 0, 50, 0)))[0] == PROMOTE


@pytest.mark.parametrize(
    ("differences", "max_drop", "status"),
    [
        ([-0.005] * 50, 0.01, PROMOTE),
        ([-0.05] * 50, 0.01, ROLLBACK),
        ([-0.1] * 50, 0.015, ROLLBACK),
        ([-0.04] * 50, 0.05, PROMOTE),
        ([0.2] * 50, 0.01, PROMOTE),
        ([-0.02] * 25 + [0.0] * 25, 0.01, HOLD),
        ([-0.1] * 5, 0.01, HOLD),
        ([0.0] * 9, 0.01, HOLD),
        ([0.0] * 10, 0.01, PROMOTE),
    ],
)
def test_nel_gate_decides_its_own_examples(differences: list[float], max_drop: float, status: int) -> None:
    """Pass, breach and insufficient as its tests have them; ten tied items pass one point."""
    d = np.array(differences)
    error = d.std(ddof=1) / math.sqrt(d.size)

    found = nel_verdict(np.array([d.mean()]), np.array([error]), np.array([d.size]), np.array([max_drop]))

    assert found[0] == status


def test_nel_gate_on_counts_is_nel_gate_on_differences() -> None:
    """Lost and won are differences of -1 and 1."""
    rng = np.random.default_rng(0)
    for n in (10, 60, 400):
        for lost, won in rng.integers(0, n // 4, (20, 2)).tolist():
            d = np.repeat([-1.0, 1.0, 0.0], [lost, won, n - lost - won])
            one = np.array([n])
            expected = nel_verdict(d.mean() * np.ones(1), d.std(ddof=1) / np.sqrt(one), one, np.array([0.05]))
            assert nel_status(np.array([lost]), np.array([won]), one, np.array([0.05])) == expected


def test_nel_gate_aggregates_the_worst() -> None:
    """Any breach is NO-GO, else any lack of evidence is inconclusive, else GO; ten cases decide, nine do not."""
    fine, poor, few = (0, 0, 60, 0), (40, 0, 20, 0), (0, 0, 9, 0)

    assert [nel_gate_our_margins(counts(fine, other))[0] for other in (fine, few, poor)] == [PROMOTE, HOLD, ROLLBACK]
    assert nel_gate_our_margins(counts(fine, (0, 0, 0, 0)))[0] == PROMOTE


@pytest.mark.parametrize(("n", "share"), [(100, 0.13), (200, 0.17), (500, 0.32), (1000, 0.56), (2000, 0.85)])
def test_nel_gate_rarely_passes_an_identical_model(n: int, share: float) -> None:
    """At 1.5 points and 5 % discordance the published shares come back within 3 SE and a point for rounding."""
    cells = np.random.default_rng(n).multinomial(n, [0.025, 0.025, 0.95, 0.0], size=(20_000, 1))

    assert np.mean(nel_gate(Counts.of_cells(cells)) == PROMOTE) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(("n", "share"), [(50, 0.93), (100, 0.82), (200, 0.63)])
def test_not_significant_is_not_safe(n: int, share: float) -> None:
    """By enumeration, a true loss of 5 points at discordance .15 is promoted this often."""
    runs, weight = every_table(n, 0.15, -0.05)

    assert weight[no_significant_difference(runs) == PROMOTE].sum() == pytest.approx(share, abs=5.1e-3)


def test_not_significant_is_mcnemars_exact_test() -> None:
    """The two-sided p-value is scipy's binomial one, and only losses count."""
    for lost, won in ((6, 0), (5, 0), (0, 6), (12, 3), (9, 3)):
        p = stats.binomtest(lost, lost + won).pvalue
        expected = ROLLBACK if p <= 0.05 and lost > won else PROMOTE
        assert no_significant_difference(counts((lost, won, 50, 5)))[0] == expected


def test_mean_threshold_is_a_threshold() -> None:
    """Three points lost of a hundred are tolerated, four are not."""
    assert [mean_threshold(counts((lost, 0, 90, 10 - lost)))[0] for lost in (3, 4)] == [PROMOTE, ROLLBACK]


def test_rowwise_holm_is_the_gates() -> None:
    """Each run is corrected as the gate corrects its one; outside the family nothing is significant."""
    rng = np.random.default_rng(0)
    p, family = rng.random((60, 9)) ** 3, rng.random((60, 9)) < 0.6
    rows = adjust(p, family)
    for row, mask, found in zip(p, family, rows, strict=True):
        assert found[mask] == pytest.approx(holm(list(row[mask])))
        assert np.all(found[~mask] > 1)


@pytest.mark.parametrize(
    "run",
    [
        counts((0, 0, 9, 0), (0, 0, 200, 0)),
        counts((0, 0, 25, 0), (0, 0, 75, 0)),
        counts((9, 0, 15, 1), (3, 4, 80, 3)),
        counts((5, 0, 4, 0), (0, 3, 90, 7)),
        counts((125, 20, 900, 355), (10, 10, 1200, 180)),
        counts((0, 0, 87, 0)),
        counts((0, 0, 88, 0)),
        counts((20, 2, 150, 28)),
    ],
    ids=["nine", "just enough", "lost", "lost nine", "sign-off", "87", "88", "unstratified"],
)
def test_vectorised_rule_is_the_product(run: Counts) -> None:
    """Corner by corner, the rule on counts and `canary.evaluate` on records agree."""
    assert this_gate(run)[0] == product_verdict(run)


@pytest.mark.parametrize(("truth", "psi", "size"), [("unchanged", 0.15, 60), ("one stratum -10 points", 0.15, 150)])
def test_simulated_verdicts_are_the_products(truth: str, psi: float, size: int) -> None:
    """A run of each verdict that occurs is the product's, and the shares are the planner's."""
    cell = grid.simulated_cell(truth, psi, size)
    found = table.Rates.of(this_gate(cell.counts))
    planned = joint_promote_probability(
        [size] * 8, psi, pooled_margin=0.03, stratum_margins=0.10, delta=grid.TRUTHS[truth], replicates=4_000, seed=5
    )

    assert list(mismatches(cell.counts)) == []
    assert found.promote == pytest.approx(planned.promote, abs=3 * np.sqrt(2) * planned.error)
    assert found.rollback == pytest.approx(planned.rollback, abs=3 * np.sqrt(2) * planned.error)


@pytest.mark.parametrize("stream", latency.STREAMS, ids=lambda stream: stream.truth)
def test_judged_times_are_the_products(stream: latency.Stream) -> None:
    """Times judged without records and the same times through `canary.evaluate` agree."""
    plan = plan_of({"default": latency.REQUESTS})
    baseline, candidate = latency.draw(stream, np.random.default_rng(1))

    ours = latency.decide_times(baseline, candidate, plan, latency.steady_readings(plan))[0]

    assert ours == latency.product_verdict(baseline, candidate, plan)


def test_minutes_are_means_of_sixty() -> None:
    """The last minute is as short as it is."""
    assert latency.by_minute(np.arange(150.0)).tolist() == [29.5, 89.5, 134.5]


def test_truths_are_what_they_say() -> None:
    """A loss exactly at a margin is harm; a gain is better; nothing is unchanged."""
    assert [kind_of(float(np.mean(truth)), list(truth)) for truth in grid.TRUTHS.values()] == [
        UNCHANGED,
        HARM,
        HARM,
        HARM,
        BETTER,
    ]


def test_simulated_pairs_have_the_stated_truth() -> None:
    """Differences, discordance and pass rate of 32,000 pairs are within 4 SE of what the cell says."""
    cell = grid.simulated_cell("one stratum -10 points", 0.15, 150)
    n = cell.counts.n[:, 0].sum()
    shift = (cell.counts.won - cell.counts.lost).sum(axis=0) / n
    psi = (cell.counts.won + cell.counts.lost).sum(axis=0) / n

    assert shift == pytest.approx([-0.10] + [0.0] * 7, abs=4 * math.sqrt(0.15 / n))
    assert psi == pytest.approx([0.15] * 8, abs=4 * math.sqrt(0.15 / n))
    assert cell.counts.baseline_passes.sum(axis=0) / n == pytest.approx([0.85] * 8, abs=4 * math.sqrt(0.13 / n))


def test_real_pairs_are_the_known_ones(shared_data: Path) -> None:
    """Differences and cases of the real pairs, and what swapping arms by a coin leaves of them."""
    found = pairs.read_pairs(shared_data)
    trials = pairs.read_trials(shared_data)
    cells = list(pairs.real_cells(shared_data, runs=50))

    assert [(pair.cases, round(100 * pair.difference, 1)) for pair in found] == [
        (1319, 21.5), (1319, -21.5), (1319, -4.3), (1319, 4.3), (541, -3.7),
    ]  # fmt: skip
    assert trials.sum() == pytest.approx(1)
    assert trials[0, 0] == trials[0, 1]  # one model: as often lost as won
    assert {cell.kind for cell in cells if cell.truth.startswith("unchanged")} == {UNCHANGED}
    assert all(
        cell.counts.n.sum(axis=1).tolist() == [int(cell.pairs.split()[-1].replace(",", ""))] * len(cell.counts.n)
        for cell in cells
    )


def test_real_counts_are_the_products(shared_data: Path) -> None:
    """On all 1,319 and 541 real pairs, too, the rule on counts and the product agree."""
    for cell in pairs.real_cells(shared_data, runs=1):
        if cell.pairs.startswith("all"):
            assert list(mismatches(cell.counts)) == []


def test_a_broken_promise_is_named() -> None:
    """More wrong answers than nominal and three standard errors are reported, and bold."""
    bad = table.Rates(promote=0.2, hold=0.5, rollback=0.3)
    row = table.Row(
        evidence="simulated", truth="all strata -3 points", kind=HARM, pairs="480", discordance=0.1, runs=4_000,
        rates=dict.fromkeys(RULES, bad),
    )  # fmt: skip

    assert len(table.broken_promises([row])) == 1
    assert table.render([row]).splitlines()[-1].count("**20/50/30**") == len(RULES)


def test_verdicts_have_an_order() -> None:
    """Promote, hold, rollback: the worst is the largest, as the rules that take a maximum rely on."""
    order: list[int] = [PROMOTE, HOLD, ROLLBACK]
    statuses: Ints = np.array([[PROMOTE, HOLD], [HOLD, ROLLBACK]])

    assert order == sorted(order)
    assert statuses.max(axis=1).tolist() == [HOLD, ROLLBACK]
