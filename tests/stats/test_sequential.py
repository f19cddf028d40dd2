"""E-processes: valid at every look, never reset."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import integrate, special, stats

from canary.stats.sequential import (
    BettingProcess,
    OddsProcess,
    e_bonferroni,
    e_holm,
    first_events,
    harm_bets,
    harm_values,
    safety_bets,
    safety_values,
    split_alpha,
    stratum_blocks,
)
from canary.stats.vector import Bools, Floats

ALARM = np.log(20)


def ramp(n: int) -> Floats:
    """Shares of a candidate that ramps from 1 % to 50 % in four steps."""
    return np.repeat([0.01, 0.05, 0.25, 0.5], n // 4)


def events(shares: Floats, ratio: float, rng: np.random.Generator) -> Bools:
    """Arms of bad events when the candidate's odds are `ratio` times the baseline's."""
    return np.asarray(rng.random(shares.size) < shares * ratio / (shares * ratio + 1 - shares))


def test_mixture_over_odds_approaches_the_integral() -> None:
    """At an even split 64 alternatives are within .05 of the e-value mixed over every share above a half."""
    marks = np.arange(300) % 5 < 3
    found = OddsProcess.of_harm().advance(marks, 0.5)
    top, _ = integrate.quad(lambda t: stats.binom.pmf(180, 300, t), 0.5, 1)
    assert found.log_e == pytest.approx(np.log(top / 0.5 / stats.binom.pmf(180, 300, 0.5)), abs=0.05)
    assert (found.candidate_events, found.baseline_events) == (180, 120)


def test_expectation_is_one_under_the_edge_of_the_null() -> None:
    """Whatever the share at the moment, the next factor has mean at most 1."""
    for share in (0.0, 0.01, 0.5, 0.99, 1.0):
        for process in (OddsProcess.of_harm(null_ratio=1.5), OddsProcess.of_safety(max_ratio=1.5)):
            edge = share * 1.5 / (share * 1.5 + 1 - share)
            gains = [np.exp(process.trace([mark], [share])[0]) for mark in (True, False)]
            assert edge * gains[0] + (1 - edge) * gains[1] == pytest.approx(1)


def test_state_survives_a_restart() -> None:
    """Stopped after any event, written as JSON and resumed, it is the same process."""
    rng = np.random.default_rng(0)
    shares = ramp(400)
    marks = events(shares, 2.0, rng)
    whole = OddsProcess.of_harm().advance(marks, shares)
    half = OddsProcess.of_harm().advance(marks[:123], shares[:123])
    read = OddsProcess(**json.loads(json.dumps(dataclasses.asdict(half))))
    resumed = dataclasses.replace(
        read, alternatives=tuple(read.alternatives), log_likelihoods=tuple(read.log_likelihoods)
    ).advance(marks[123:], shares[123:])
    assert resumed.log_e == pytest.approx(whole.log_e)
    assert resumed.peak == pytest.approx(whole.peak)
    assert resumed.candidate_events == whole.candidate_events


def test_bets_survive_a_restart() -> None:
    """The betting process too resumes where it stood, value by value or at once."""
    x = np.random.default_rng(0).random(100)
    whole, part = BettingProcess(null_mean=0.5, alpha=0.05).advance(x), BettingProcess(null_mean=0.5, alpha=0.05)
    for value in x:
        part = part.advance([value])
    assert part.log_e == pytest.approx(whole.log_e)
    assert part.peak == pytest.approx(whole.peak)
    assert part.advance([]) == part


def test_long_streams_are_cut_without_a_seam() -> None:
    """Fifty thousand events in one call equal the same in two."""
    marks = np.random.default_rng(0).random(50_000) < 0.5
    one = OddsProcess.of_harm().advance(marks, 0.5)
    two = OddsProcess.of_harm().advance(marks[:30_000], 0.5).advance(marks[30_000:], 0.5)
    assert one.log_e == pytest.approx(two.log_e)
    assert OddsProcess.of_harm().trace(marks, 0.5).size == 50_000


def test_only_the_first_event_of_a_key_counts() -> None:
    """A session that fails ten times is one bad event."""
    assert first_events(["a", "b", "a", "c", "b"]).tolist() == [True, True, False, True, False]
    assert first_events([]).size == 0


def test_alpha_is_split_between_looks_and_the_end() -> None:
    """A fifth for the looks, the rest for the final test, and no more."""
    assert split_alpha(0.05) == pytest.approx((0.01, 0.04))


def test_blocks_bet_once_per_complete_set_of_strata() -> None:
    """Pairs wait for their block; an unfinished block and a weightless stratum do not bet."""
    strata = [0, 0, 1, 0, 1, 2]
    d = [0.1, 0.2, 0.3, 0.4, 0.5, 9.0]
    assert stratum_blocks(d, strata, [0.25, 0.75, 0.0]) == pytest.approx([0.25, 0.425])
    assert stratum_blocks(d[:2], strata[:2], [0.5, 0.5]).size == 0
    order = np.array([2, 0, 4, 1, 5, 3])
    shuffled = stratum_blocks(np.array(d)[order], np.array(strata)[order], [0.25, 0.75, 0.0])
    assert shuffled == pytest.approx([0.25, 0.425])


def test_e_holm_lies_between_bonferroni_and_none() -> None:
    """Adjusted e-values never exceed the raw ones and never fall below e/m."""
    log_e = np.log([100.0, 50.0, 1.0, 0.5])
    adjusted = e_holm(log_e)
    assert np.exp(adjusted) == pytest.approx([33.8333333, 17.1666667, 0.75, 0.5])  # (100 + .5 + 1)/3, ...
    assert np.all((adjusted <= log_e + 1e-12) & (adjusted >= e_bonferroni(log_e) - 1e-12))
    assert e_holm([]).size == 0


def test_e_holm_ignores_the_order() -> None:
    """Permuting the processes permutes the answer."""
    log_e = np.random.default_rng(0).normal(0, 3, 14)
    order = np.random.default_rng(1).permutation(14)
    assert e_holm(log_e[order]) == pytest.approx(e_holm(log_e)[order])


def test_losses_and_gains_move_their_own_process() -> None:
    """A run of losses speaks for harm and against safety; a run of ties for safety alone."""
    losses, ties = np.full(200, -1.0), np.zeros(200)
    assert harm_bets(0.05).advance(harm_values(losses)).log_e > ALARM
    assert safety_bets(0.1, 0.05).advance(safety_values(losses)).log_e < 0
    assert harm_bets(0.05).advance(harm_values(ties)).log_e == pytest.approx(0)
    assert safety_bets(0.1, 0.05).advance(safety_values(ties)).log_e > ALARM


def test_impossible_input_is_refused() -> None:
    """Shares outside [0, 1] and values outside [0, 1] are errors."""
    with pytest.raises(ValueError, match="shares"):
        OddsProcess.of_harm().advance([True], [1.2])
    with pytest.raises(ValueError, match="values"):
        harm_bets(0.05).advance([1.2])
    with pytest.raises(ValueError, match="margin"):
        safety_bets(0.0, 0.05)


@pytest.mark.slow
def test_an_unchanged_error_stream_never_alarms_along_a_ramp() -> None:
    """Looked at after every event of a drifting, ramping stream: at most 5 % alarm; a fixed test far more."""
    runs, rng = 2_000, np.random.default_rng(0)
    shares = ramp(400)
    peaks = np.array([OddsProcess.of_harm().advance(events(shares, 1.0, rng), shares).peak for _ in range(runs)])
    assert np.mean(peaks >= ALARM) <= 0.05
    marks = rng.random((runs, 400)) < 0.5
    counts, looks = np.cumsum(marks, axis=1), np.arange(1, 401)
    fixed = special.bdtrc(counts - 1.0, looks, 0.5) <= 0.05
    assert np.mean(fixed[:, 9:].any(axis=1)) >= 0.15


@pytest.mark.slow
def test_a_doubled_error_rate_is_found_soon() -> None:
    """3 % against 6 % at an even split alarms within 1,400 requests (median)."""
    runs, rng = 2_000, np.random.default_rng(0)
    marks = rng.random((runs, 400)) < 2 / 3
    traces = np.array([OddsProcess.of_harm().trace(row, 0.5) for row in marks])
    first = np.where((traces >= ALARM).any(axis=1), np.argmax(traces >= ALARM, axis=1), 400)
    assert np.median(first) / 0.045 <= 1_400


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1.5, 3.0])
def test_safety_is_rarely_shown_at_its_edge(ratio: float) -> None:
    """A candidate exactly `ratio` times as bad is called safe in at most 5 % of the runs."""
    runs, rng = 2_000, np.random.default_rng(0)
    shares = ramp(400)
    process = OddsProcess.of_safety(max_ratio=ratio)
    peaks = np.array([process.advance(events(shares, ratio, rng), shares).peak for _ in range(runs)])
    assert np.mean(peaks >= ALARM) <= 0.05


@pytest.mark.slow
def test_paired_bets_keep_both_error_rates_and_find_losses() -> None:
    """Discordance .10, 2,000 runs: 5 points are found within 452 pairs (median), wrong sides stay at 5 %."""
    rng = np.random.default_rng(0)

    def first(delta: float) -> tuple[Floats, Floats]:
        u = rng.random((2_000, 1_500))
        d = np.where(u < (0.1 - delta) / 2, -1.0, np.where(u < 0.1, 1.0, 0.0))
        out = []
        for process, values in ((harm_bets(0.05), harm_values(d)), (safety_bets(0.05, 0.05), safety_values(d))):
            traces = np.array([process.trace(row) for row in values]) >= ALARM
            out.append(np.where(traces.any(axis=1), np.argmax(traces, axis=1) + 1.0, np.inf))
        return out[0], out[1]

    equal, lossy = first(0.0), first(-0.05)
    assert np.mean(np.isfinite(equal[0])) <= 0.05
    assert np.mean(np.isfinite(lossy[1])) <= 0.05
    assert np.median(equal[1]) <= 261 * 1.1
    assert np.median(lossy[0]) <= 452


@pytest.mark.slow
def test_fourteen_processes_together_rarely_alarm() -> None:
    """Over 14 strata, 20 looks and e-Holm the A/A rollback stays under 5 %."""
    runs, rng = 2_000, np.random.default_rng(0)
    alarms = 0
    for _ in range(runs):
        u = rng.random((14, 400))
        values = harm_values(np.where(u < 0.05, -1.0, np.where(u < 0.1, 1.0, 0.0)))
        looks = np.array([harm_bets(0.01).trace(row)[19::20] for row in values])
        alarms += bool(np.any(np.max(looks, axis=1) - np.log(14) >= np.log(20)))
        assert np.all(e_holm(looks.max(axis=1)) >= e_bonferroni(looks.max(axis=1)) - 1e-9)
    assert alarms / runs <= 0.05
