"""What a metric is declared to be decides its test, and repeats are never extra cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from canary.records import ErrorKind, Failure, Scale, Signal, Status

Judge = Callable[..., Any]
Find = Callable[..., Signal]


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (Scale.PASS_FAIL, "Tango score (margin): paired pass/fail; declared pass/fail"),
        (Scale.BOUNDED, "worst-case pair (margin): paired scores; declared scores from 0 to 1"),
        (Scale.ORDINAL, "Tango score (margin): paired pass/fail; declared ordinal grades, counted as better or worse"),
        (Scale.UNBOUNDED, "worst-case pair (margin): paired scores; declared scores without bounds"),
    ],
)
def test_the_method_says_which_test_and_why(judge: Judge, find: Find, scale: Scale, words: str) -> None:
    """The same zeros and ones are tested by what they were declared, not by how they look."""
    base = np.tile([0.0, 1.0, 1.0, 1.0], 30)

    signal = find(judge(base, np.roll(base, 4), scale=scale), "quality/all/pass")

    assert words in signal.method


def test_grades_count_as_better_or_worse_only(judge: Judge, find: Find) -> None:
    """Stretching the steps of a scale changes nothing: 20 of 100 worse, 5 better."""
    base = np.full(100, 3.0)
    cand = base.copy()
    cand[:20], cand[20:25] = 2.0, 4.0

    plain = find(judge(base, cand, scale=Scale.ORDINAL), "quality/all/pass")
    stretched = find(judge(base**3, cand**3, scale=Scale.ORDINAL), "quality/all/pass")

    assert plain == stretched
    assert plain.estimate == pytest.approx(-0.15)
    assert plain.reason.startswith("20.0% graded worse, 5.0% better, -15.0 points")
    assert plain.status is Status.FAIL


def test_the_policy_declares_a_scale(judge: Judge, find: Find) -> None:
    """`scale: ordinal` wins over what the scores came as."""
    policy = {"quality": {"metrics": {"pass": {"scale": "ordinal"}}}}

    signal = find(judge(np.full(60, 0.5), np.full(60, 0.5), scale=Scale.BOUNDED, policy=policy), "quality/all/pass")

    assert "ordinal" in signal.method


def test_repeats_are_averaged_not_counted_as_cases(judge: Judge, find: Find) -> None:
    """Eight identical answers to each of 40 prompts say what one answer says."""
    rng = np.random.default_rng(1)
    base, cand = (rng.random(40) < 0.8), (rng.random(40) < 0.8)

    once = find(judge(base, cand, scale=Scale.BOUNDED), "quality/all/pass")
    often = find(judge(*(np.tile(arm[:, None], 8) for arm in (base, cand)), scale=Scale.BOUNDED), "quality/all/pass")

    assert (often.n, often.low, often.high) == (once.n, once.low, once.high)
    assert often.p_noninferior == once.p_noninferior
    assert "8 answers a prompt averaged" in often.method


def test_repeats_reduce_the_noise_within_a_prompt(judge: Judge, find: Find) -> None:
    """Independent answers narrow the interval, but never below what the prompts themselves vary."""
    rng = np.random.default_rng(2)
    chance = rng.random((300, 1))
    once, often = (
        find(
            judge(rng.random((300, k)) < chance, rng.random((300, k)) < chance, scale=Scale.BOUNDED), "quality/all/pass"
        )
        for k in (1, 16)
    )
    widths = [(signal.high or 0) - (signal.low or 0) for signal in (once, often)]

    assert widths[1] < widths[0] / 2
    assert once.n == often.n == 300


def test_prompts_of_one_document_are_one_unit(judge: Judge, find: Find) -> None:
    """Four hundred prompts from ten documents are ten things drawn."""
    rng = np.random.default_rng(3)
    lost = np.repeat(rng.random(10) < 0.2, 40)

    signal = find(judge(np.ones(400), 1.0 - lost, clusters=[f"d{i // 40}" for i in range(400)]), "quality/all/pass")

    assert signal.n == 10
    assert "sign flips by cluster" in signal.method


def test_critical_strata_may_keep_a_share_of_alpha(judge: Judge, find: Find) -> None:
    """Half of alpha for one stratum of fourteen finds there what plain Holm misses."""
    names = [f"s{i:02d}" for i in range(13)]
    strata = [name for name in names for _ in range(60)]
    base, cand = np.ones(780), np.ones(780)
    cand[:6] = 0  # six lost, none won: mid-p 1/128
    for i in range(1, 13):
        base[60 * i], cand[60 * i + 1] = 0, 0
    critical = {"strata": ["s00"], "max_drop": 0.05}

    plain, split = (
        find(judge(base, cand, strata=strata, policy={"quality": {"critical": critical | more}}), "quality/s00/pass")
        for more in ({}, {"alpha_share": 0.5})
    )

    assert plain.p_harm == split.p_harm == pytest.approx(1 / 128)
    assert plain.p_harm_adjusted == pytest.approx(14 / 128)
    assert split.p_harm_adjusted == pytest.approx(2 / 128)
    assert (plain.status, split.status) == (Status.INCONCLUSIVE, Status.FAIL)


def test_a_baseline_that_was_down_warns_of_what_it_hides(judge: Judge, find: Find) -> None:
    """Where the baseline's server failed the candidate cannot lose: beyond the margin every report says so."""
    fine: dict[str, Any] = {}
    down = {"error": Failure(kind=ErrorKind.SERVER, message="502")}
    baseline, candidate = np.ones(200), np.ones(200)
    baseline[:14] = 0

    few, many = (
        find(
            judge(baseline, candidate, responses=([down] * lost + [fine] * (200 - lost), [fine] * 200)),
            "quality/all/pass",
        )
        for lost in (6, 7)  # the pooled margin is 3 %
    )

    assert few.warnings == ()
    assert "the baseline's server failed on 7 of 200 cases, beyond the margin" in many.warnings[0]


def test_where_both_servers_were_down_nothing_is_known(judge: Judge, find: Find) -> None:
    """Even scores of two failures are no evidence: beyond the margin the signal holds."""
    fine: dict[str, Any] = {}
    down = {"error": Failure(kind=ErrorKind.SERVER, message="502")}

    few, many = (
        find(
            judge(scores, scores, responses=([down] * lost + [fine] * (200 - lost),) * 2),
            "quality/all/pass",
        )
        for lost in (6, 7)  # the pooled margin is 3 %
        for scores in (np.r_[np.zeros(lost), np.ones(200 - lost)],)
    )

    assert few.status is Status.PASS
    assert many.status is Status.INCONCLUSIVE
    assert "both servers failed on 7 of 200 cases, beyond the margin: nothing is known there" in many.reason
