"""Judges that err, and what people correct."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import hypergeom
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import confint_proportions_2indep

from canary.stats.judge import (
    Fitness,
    chance_of_draw,
    compare_judged,
    flip_rate,
    kappa,
    measure_fitness,
    ppi_mean,
    ppi_weight,
    rogan_gladen,
)

LLMBAR = Path(__file__).parents[3] / "shared" / "data" / "llmbar" / "llmbar_natural_gptinst.csv"


def test_kappa_agrees_with_statsmodels() -> None:
    """Any table of three labels gives the library's kappa; full agreement gives 1."""
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    table = np.histogram2d(one, two, bins=3)[0]
    assert kappa(one, two) == pytest.approx(float(cohens_kappa(table).kappa))
    assert kappa(["a", "a"], ["a", "a"]) == 1
    assert kappa(["a", "b"], ["b", "a"]) == -1
    with pytest.raises(ValueError, match="same items"):
        kappa([1, 0], [1])


def test_flips_are_counted() -> None:
    """An answer that wins only in one order has not won."""
    assert flip_rate([1, -1, 0, 1], [1, 1, 0, -1]) == 0.5


def test_fitness_interval_is_newcombes() -> None:
    """Se + Sp - 1 is a difference of two rates, with statsmodels' Newcombe interval."""
    human = np.repeat([1, 0], [60, 80])
    judge = np.concatenate([np.repeat([1, 0], [50, 10]), np.repeat([1, 0], [12, 68])])
    found = measure_fitness(human, judge, alpha=0.05)
    low, high = confint_proportions_2indep(50, 60, 12, 80, method="newcomb", compare="diff", alpha=0.1)
    assert (found.informedness.low, found.informedness.high) == pytest.approx((low, high))
    assert (found.sensitivity.center, found.specificity.center) == pytest.approx((50 / 60, 68 / 80))
    assert found.is_fit
    assert found.judge_margin(0.1) == pytest.approx(0.1 * low)


def test_a_coin_is_no_judge() -> None:
    """A judge that guesses is unfit and lends its margin to nobody."""
    rng = np.random.default_rng(0)
    found = measure_fitness(rng.random(200) < 0.5, rng.random(200) < 0.5, alpha=0.05)
    assert not found.is_fit
    with pytest.raises(ValueError, match="unfit"):
        found.judge_margin(0.1)
    with pytest.raises(ValueError, match="both of them"):
        measure_fitness([1, 1], [1, 0], alpha=0.05)


def _fitness(hits: int, rejects: int, n: int = 1_000) -> Fitness:
    human = np.repeat([1, 0], [n, n])
    return measure_fitness(
        human, np.concatenate([np.arange(n) < hits, np.arange(n) >= rejects]).astype(float), alpha=0.05
    )


def test_rogan_gladen_undoes_the_errors() -> None:
    """The corrected rate is the true one where the errors are known, or refused."""
    true, fitness = 0.7, _fitness(900, 800)
    judged = true * 0.9 + (1 - true) * 0.2
    assert rogan_gladen(judged, fitness) == pytest.approx(true)
    assert rogan_gladen(0.0, fitness) == 0
    with pytest.raises(ValueError, match="unfit"):
        rogan_gladen(0.5, _fitness(600, 500))


def test_a_judge_s_floor_undoes_the_worst_of_its_errors() -> None:
    """What it would say at most of answers that just reach the floor; more labels bring it nearer."""
    few, many = _fitness(90, 80, 100), _fitness(9_000, 8_000, 10_000)
    exact = 0.7 * 0.9 + 0.3 * 0.2
    assert few.judge_floor(0.7) > many.judge_floor(0.7) > exact
    assert many.judge_floor(0.7) == pytest.approx(exact, abs=0.01)


def _spread(human: Any, judged: Any, rest: Any) -> Any:
    """Labelled and other pairs as one design: one stratum, every pair its own cluster."""
    said = np.concatenate([judged, rest])
    truth = np.concatenate([human, np.full(len(rest), np.nan)])
    return truth, said, np.arange(said.size), np.zeros(said.size, dtype=np.int64), [1.0]


def test_without_a_use_for_the_judge_people_decide() -> None:
    """A judge that says the same of everything gets weight 0, and the error is that of their mean."""
    human = np.array([0.0, 1.0, -1.0, 1.0])
    assert ppi_weight(human, np.ones(4), np.ones(50)) == 0
    fit = ppi_mean(*_spread(human, np.ones(4), np.ones(50)))
    assert fit.mean == pytest.approx(human.mean())
    assert fit.error == pytest.approx(np.std(human, ddof=1) / 2)
    assert ppi_mean(*_spread([0.3], [0.2], [0.1, 0.2])).error == np.inf
    with pytest.raises(ValueError, match="no pair of a stratum"):
        ppi_mean(*_spread([], [], [0.1, 0.2]))


def test_a_perfect_judge_adds_its_sample() -> None:
    """Where judge and people agree the error is nearer that of all pairs."""
    rng = np.random.default_rng(0)
    all_pairs = rng.normal(0, 0.3, 1_000)
    few = ppi_mean(*_spread(all_pairs[:100], all_pairs[:100], all_pairs[100:]))
    assert few.error < 0.5 * np.std(all_pairs[:100]) / 10


def test_people_who_read_everything_leave_nothing_to_the_judge() -> None:
    """All pairs labelled: the plain mean, whatever the judge says."""
    rng = np.random.default_rng(1)
    truth = rng.choice([-1.0, 0.0, 1.0], 90)
    fit = ppi_mean(*_spread(truth, rng.normal(size=90), []))
    assert (fit.mean, fit.error) == pytest.approx((truth.mean(), np.std(truth, ddof=1) / np.sqrt(90)))


def test_strata_are_corrected_each_by_its_own_labels() -> None:
    """A stratum labelled twice as densely counts no more; clusters widen the error."""
    rng = np.random.default_rng(2)
    strata = np.repeat([0, 1], [100, 300])
    truth = np.where(strata == 0, -0.5, 0.1) + rng.normal(0, 0.05, 400)
    human = np.where((strata == 0) | (rng.random(400) < 0.3), truth, np.nan)
    said = truth + 0.2
    design = strata, [0.5, 0.5]
    fit = ppi_mean(human, said, np.arange(400), *design)
    assert fit.mean == pytest.approx(0.5 * -0.5 + 0.5 * 0.1, abs=0.01)
    shared = np.repeat(np.arange(40), 10)
    noise = rng.normal(0, 0.3, 40)[shared]
    assert (
        ppi_mean(human + noise, said, shared, *design).error
        > 2 * ppi_mean(human + noise, said, np.arange(400), *design).error
    )


def test_judged_comparison_inverts_and_mirrors() -> None:
    """Inside is a low end inside; swapping the arms negates the interval."""
    rng = np.random.default_rng(0)
    truth = rng.choice([-1.0, 0.0, 1.0], 150, p=[0.08, 0.84, 0.08])
    judged = np.where(rng.random(150) < 0.1, 0.0, truth)
    rest = rng.choice([-1.0, 0.0, 1.0], 600, p=[0.08, 0.84, 0.08])
    found = compare_judged(*_spread(truth, judged, rest), margin=0.1, alpha=0.05)
    other = compare_judged(*_spread(-truth, -judged, -rest), margin=0.1, alpha=0.05)
    assert (found.noninferior.p < 0.05) is (found.estimate.low > -0.1)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((-other.estimate.high, -other.estimate.low))


def test_labels_without_change_prove_only_their_number() -> None:
    """Ten labelled pairs without any change do not show 10 points."""
    few, many = (
        compare_judged(*_spread(np.zeros(n), np.zeros(n), np.zeros(500)), margin=0.1, alpha=0.05) for n in (10, 60)
    )
    assert few.noninferior.p > 0.05 > many.noninferior.p
    assert not few.can_reject


def test_a_draw_is_told_from_a_choice() -> None:
    """Hypergeometric, within strata; half of each kind is no surprise, only one kind is."""
    marked = np.arange(200) < 40
    assert chance_of_draw(np.arange(200) % 4 == 0, marked, np.zeros(200)) == pytest.approx(1)
    assert chance_of_draw(marked, marked, np.zeros(200)) < 1e-9
    densely = (np.arange(200) < 100) | (np.arange(200) % 10 == 0)
    strata = (np.arange(200) >= 100).astype(float)
    assert chance_of_draw(densely, np.arange(200) % 7 == 0, strata) > 0.001
    table = hypergeom(200, 40, 50)
    chances = table.pmf(np.arange(51))
    drawn = np.concatenate([np.repeat([True, False], [4, 36]), np.repeat([True, False], [46, 114])])
    assert chance_of_draw(drawn, marked, np.zeros(200)) == pytest.approx(chances[chances <= table.pmf(4)].sum())


@pytest.mark.slow
@pytest.mark.parametrize(("labelled", "pairs", "changed"), [(60, 240, 0.1), (150, 600, 0.15)])
def test_both_error_rates_hold_for_lumpy_differences(labelled: int, pairs: int, changed: float) -> None:
    """A judge that misses most losses, 2,000 runs a cell: neither test rejects its null more often than it may."""
    rng, runs = np.random.default_rng(0), 2_000
    inside = harm = 0
    for _ in range(runs):
        for truly in (-0.1, 0.0):
            lost = max((changed - truly) / 2, -truly)
            truth = rng.choice([-1.0, 0.0, 1.0], pairs, p=[lost, 1 - 2 * lost - truly, lost + truly])
            judged = np.where((truth < 0) & (rng.random(pairs) < 0.6), 0.0, truth)
            found = compare_judged(
                *_spread(truth[:labelled], judged[:labelled], judged[labelled:]), margin=0.1, alpha=0.05
            )
            inside += truly < 0 and found.noninferior.p < 0.05
            harm += truly == 0 and found.harm.p <= 0.05
    assert inside / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert harm / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_real_judges_on_adversarial_items() -> None:
    """On LLMBar GPT-4 is fit on natural items, and ChatGPT is refused on adversarial ones."""
    if not LLMBAR.exists():
        pytest.skip(f"no judged pairs: {LLMBAR} is not on this machine")
    rows = np.genfromtxt(LLMBAR, delimiter=",", names=True, dtype=None, encoding="utf-8")
    found: dict[str, Any] = {}
    for category, judge in (("Natural", "GPT-4"), ("GPTInst", "ChatGPT")):
        part = rows[(rows["category"] == category) & (rows["judge"] == judge)]
        labels = (part["gold"] == 1).astype(float), (part["winner_orig"] == 1).astype(float)
        found[judge] = measure_fitness(*labels, alpha=0.05)
        found[judge + " flips"] = flip_rate(part["winner_orig"], part["winner_swapped"])
    assert found["GPT-4"].is_fit
    assert not found["ChatGPT"].is_fit
    assert found["ChatGPT"].informedness.center < 0
    assert found["GPT-4 flips"] < 0.2 < found["ChatGPT flips"]
