"""When the requests of an open loop arrive."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from canary.offered import PoissonLoad, TraceLoad, lengths
from canary.run.arrivals import arrivals
from tests.jsonl import write_jsonl

POISSON = PoissonLoad(shape="poisson", rate=5.0)


def trace(folder: Path, times: list[float], name: str = "t.jsonl") -> str:
    """A trace of these times, the k-th prompt of k tokens."""
    rows = [{"timestamp": at, "input_tokens": k, "output_tokens": 10 * k} for k, at in enumerate(times, 1)]
    write_jsonl(folder / name, rows)
    return str(folder / name)


@pytest.mark.parametrize("seed", range(5))
def test_poisson_gaps_are_exponential(seed: int) -> None:
    """A Kolmogorov-Smirnov test at 0.001 finds the gaps exponential with mean 1/rate, and no gap tells the next."""
    _, gaps = arrivals(POISSON, 5000, seed)

    assert stats.kstest(gaps, stats.expon(scale=1 / POISSON.rate).cdf).pvalue > 0.001
    assert stats.pearsonr(gaps[:-1], gaps[1:]).pvalue > 0.001


def test_poisson_counts_are_poisson() -> None:
    """Arrivals in a second have the mean and the variance of the rate (each within four standard errors)."""
    _, gaps = arrivals(POISSON, 50_000, 0)
    counts = np.histogram(np.cumsum(gaps), bins=np.arange(0.0, 9_000.0))[0]

    assert abs(counts.mean() - 5) < 4 * np.sqrt(5 / counts.size)
    assert abs(counts.var() - 5) < 4 * np.sqrt((5 + 2 * 25) / counts.size)  # var of s2: (mu4 - sigma^4) / n


def test_the_seed_alone_decides() -> None:
    """Arms and resumes share one schedule; another seed has another, and a longer run goes on where it ended."""
    plan, gaps = arrivals(POISSON, 40, 7)

    assert arrivals(POISSON, 40, 7) == (plan, gaps)
    assert arrivals(POISSON, 60, 7)[1][:40] == gaps
    assert arrivals(POISSON, 40, 8)[1] != gaps
    assert plan is not None
    assert (plan.shape, plan.rate, plan.sha256) == ("poisson", 5.0, None)
    assert plan.seconds == pytest.approx(sum(gaps), abs=1e-3)


def test_a_closed_loop_has_no_schedule() -> None:
    """Nothing is resolved, and nothing is due."""
    assert arrivals(None, 40, 7) == (None, ())


@pytest.mark.parametrize("speed", [1.0, 2.0, 0.5])
def test_a_trace_is_replayed_at_its_speed(tmp_path: Path, speed: float) -> None:
    """Arrivals come at the trace's times, from its first one on, divided by the speed."""
    times = [100.0, 100.5, 100.5, 103.0, 107.0]
    load = TraceLoad(shape="trace", file=trace(tmp_path, times), speed=speed)
    plan, gaps = arrivals(load, 4, 0)

    assert list(itertools.accumulate(gaps)) == pytest.approx([(at - 100) / speed for at in times[:4]])
    assert plan is not None
    assert plan.seconds == pytest.approx(3 / speed)
    assert plan.rate == pytest.approx(3 / (3 / speed))
    assert plan.input_tokens == lengths([1, 2, 3, 4])
    assert plan.output_tokens == lengths([10, 20, 30, 40])


def test_a_trace_is_known_by_what_is_used_of_it(tmp_path: Path) -> None:
    """Where it lies and what follows changes nothing; a token or a time does."""

    def digest(times: list[float], name: str = "t.jsonl") -> str | None:
        plan, _ = arrivals(TraceLoad(shape="trace", file=trace(tmp_path, times, name)), 3, 0)
        return None if plan is None else plan.sha256

    assert digest([1, 2, 3]) == digest([1, 2, 3, 9], "other.jsonl") == digest([11, 12, 13])
    assert digest([1, 2, 3]) != digest([1, 2, 4])


def test_a_trace_without_lengths(tmp_path: Path) -> None:
    """Nothing is said of them."""
    (tmp_path / "t.csv").write_text("timestamp\n1\n2\n4\n")
    plan, gaps = arrivals(TraceLoad(shape="trace", file=str(tmp_path / "t.csv")), 3, 0)

    assert gaps == (0.0, 1.0, 2.0)
    assert plan is not None
    assert (plan.input_tokens, plan.output_tokens) == (None, None)


def test_one_request_needs_two_arrivals(tmp_path: Path) -> None:
    """One arrival has no rate."""
    plan, gaps = arrivals(TraceLoad(shape="trace", file=trace(tmp_path, [4, 6])), 1, 0)

    assert (plan.rate if plan else None, gaps) == (0.5, (0.0,))


def test_lengths_occurred() -> None:
    """Nearest rank: of 1 to 200, the 100th, the 180th and the 198th; one length is all of them."""
    of_many, of_one = lengths(range(200, 0, -1)), lengths([7])

    assert (of_many.p50, of_many.p90, of_many.p99, of_many.mean) == (100, 180, 198, 100.5)
    assert {of_one.p50, of_one.p90, of_one.p99, of_one.mean} == {7}
