"""Judges that err, and what people correct."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import confint_proportions_2indep

from canary.stats.judge import (
    compare_judged,
    flip_rate,
    kappa,
    measure_fitness,
    ppi_mean,
    rogan_gladen,
    settle_flips,
)
from canary.stats.paired import compare_scores

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


def test_flips_are_counted_and_become_ties() -> None:
    """An answer that wins only in one order has not won."""
    assert flip_rate([1, -1, 0, 1], [1, 1, 0, -1]) == 0.5
    assert settle_flips([1, -1, 0, 1], [1, 1, 0, -1]).tolist() == [1, 0, 0, 0]


def test_fitness_interval_is_newcombes() -> None:
    """Se + Sp - 1 is a difference of two rates, with statsmodels' Newcombe interval."""
    human = np.repeat([1, 0], [60, 80])
    judge = np.concatenate([np.repeat([1, 0], [50, 10]), np.repeat([1, 0], [12, 68])])
    found = measure_fitness(human, judge, alpha=0.05)
    low, high = confint_proportions_2indep(50, 60, 12, 80, method="newcomb", compare="diff", alpha=0.1)
    assert (found.informedness.low, found.informedness.high) == pytest.approx((low, high))
    assert (found.sensitivity, found.specificity) == pytest.approx((50 / 60, 68 / 80))
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


def test_rogan_gladen_undoes_the_errors() -> None:
    """The corrected rate is the true one where the errors are known, or refused."""
    true, sensitivity, specificity = 0.7, 0.9, 0.8
    judged = true * sensitivity + (1 - true) * (1 - specificity)
    assert rogan_gladen(judged, sensitivity, specificity) == pytest.approx(true)
    assert rogan_gladen(0.0, sensitivity, specificity) == 0
    with pytest.raises(ValueError, match="unfit"):
        rogan_gladen(0.5, 0.6, 0.5)


def test_without_a_use_for_the_judge_people_decide() -> None:
    """A judge that says the same of everything gets weight 0."""
    human = np.array([0.0, 1.0, -1.0, 1.0])
    fit = ppi_mean(human, np.ones(4), np.ones(50))
    assert fit.mean == pytest.approx(human.mean())
    assert fit.error == pytest.approx(np.std(human) / 2)
    assert ppi_mean([0.3], [0.2], [0.1]).error == np.inf


def test_a_perfect_judge_adds_its_sample() -> None:
    """Where judge and people agree the error is nearer that of all pairs."""
    rng = np.random.default_rng(0)
    all_pairs = rng.normal(0, 0.3, 1_000)
    few = ppi_mean(all_pairs[:100], all_pairs[:100], all_pairs[100:])
    assert few.error < 0.5 * np.std(all_pairs[:100]) / 10


def test_judged_comparison_inverts_and_mirrors() -> None:
    """Inside is a low end inside; swapping the arms negates the interval."""
    rng = np.random.default_rng(0)
    truth = rng.choice([-1.0, 0.0, 1.0], 150, p=[0.08, 0.84, 0.08])
    judged = np.where(rng.random(150) < 0.1, 0.0, truth)
    rest = rng.choice([-1.0, 0.0, 1.0], 600, p=[0.08, 0.84, 0.08])
    found = compare_judged(truth, judged, rest, margin=0.1, alpha=0.05)
    other = compare_judged(-truth, -judged, -rest, margin=0.1, alpha=0.05)
    assert (found.noninferior.p < 0.05) is (found.estimate.low > -0.1)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((-other.estimate.high, -other.estimate.low))


def test_labels_without_change_prove_only_their_number() -> None:
    """Ten labelled pairs without any change do not show 10 points."""
    few, many = (compare_judged(np.zeros(n), np.zeros(n), np.zeros(500), margin=0.1, alpha=0.05) for n in (10, 60))
    assert few.noninferior.p > 0.05 > many.noninferior.p
    assert not few.can_reject


@pytest.mark.slow
def test_a_biased_judge_is_corrected() -> None:
    """A judge that flatters the candidate: people's labels keep both error rates, 2,000 runs."""
    rng = np.random.default_rng(0)
    harm, inside, naive = [], [], []
    for run in range(2_000):
        truth = rng.choice([-1.0, 0.0, 1.0], 600, p=[0.15, 0.8, 0.05])  # truly -10 points
        judged = np.where((truth < 0) & (rng.random(600) < 0.6), 0.0, truth)
        found = compare_judged(truth[:150], judged[:150], judged[150:], margin=0.1, alpha=0.05)
        inside.append(found.noninferior.p < 0.05)
        harm.append(found.harm.p <= 0.05)
        if run < 300:
            believed = compare_scores(
                np.zeros(600), judged, np.arange(600), margin=0.1, alpha=0.05, bounded=False, seed=run
            )
            naive.append(believed.noninferior.p < 0.05)
    assert np.mean(inside) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2_000)
    assert np.mean(naive) > 0.9
    assert np.mean(harm) > 0.7


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
