"""A part of a golden set, drawn by weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from canary.digest import digest_of
from canary.golden import GoldenSet, draw
from canary.records import Prompt


def prompt(number: int, stratum: str) -> Prompt:
    """A case like any other of its stratum."""
    name = f"{stratum}-{number:04d}"
    return Prompt(
        id=name,
        digest=digest_of(name),
        stratum=stratum,
        cluster=name,
        vars={},
        messages=None,
        expected=None,
        asserts=(),
    )


def golden_of(counts: Mapping[str, int], weights: Mapping[str, float] | None = None) -> GoldenSet:
    """A golden set with so many cases in each stratum."""
    prompts = tuple(prompt(number, stratum) for stratum, count in counts.items() for number in range(count))
    given = weights or counts
    strata = {stratum: weight / sum(given.values()) for stratum, weight in given.items()}
    return GoldenSet(prompts=prompts, strata=strata, warnings=(), sources=())


def test_a_draw_shares_by_weight() -> None:
    """The strata keep the weights of the whole set."""
    golden = golden_of({"a": 300, "b": 300, "c": 300}, {"a": 6, "b": 3, "c": 1})
    drawn = draw(golden, 100, seed=0)
    assert drawn.counts() == {"a": 60, "b": 30, "c": 10}
    assert drawn.strata == golden.strata
    assert drawn.warnings == ()


def test_a_draw_hears_every_stratum_at_least_ten_times() -> None:
    """Even when that makes it larger than asked, which it says."""
    drawn = draw(golden_of({"a": 100, "b": 100, "c": 4}), 12, seed=0)
    assert drawn.counts() == {"a": 10, "b": 10, "c": 4}
    assert drawn.warnings == (
        "stratum 'c' has 4 cases, and a signal needs 10",
        "24 cases are drawn instead of 12: each stratum needs 10",
    )


def test_a_stratum_that_runs_out_leaves_its_share_to_the_others() -> None:
    """So many cases as asked are drawn as long as there are any."""
    assert draw(golden_of({"a": 20, "b": 200}, {"a": 1, "b": 1}), 100, seed=0).counts() == {"a": 20, "b": 80}


def test_a_draw_of_none_or_too_many_is_everything() -> None:
    """And too many is said."""
    golden = golden_of({"a": 20, "b": 12})
    assert draw(golden, None, seed=0) == golden
    many = draw(golden, 50, seed=0)
    assert many.prompts == golden.prompts
    assert many.warnings == ("50 cases were asked for, and there are 32",)


@given(st.integers(0, 2**32), st.integers(20, 80), st.integers(0, 40))
def test_a_larger_draw_holds_every_smaller_one(seed: int, cases: int, more: int) -> None:
    """And the order of the prompts it is drawn from changes nothing."""
    golden = golden_of({"a": 50, "b": 50}, {"a": 7, "b": 3})
    backwards = replace(golden, prompts=golden.prompts[::-1])
    smaller, larger = draw(golden, cases, seed), draw(backwards, cases + more, seed)
    assert len(smaller.prompts) == cases
    assert {prompt.id for prompt in smaller.prompts} <= {prompt.id for prompt in larger.prompts}
    assert larger.prompts == draw(golden, cases + more, seed).prompts


def test_another_seed_draws_other_cases() -> None:
    """Chance decides who is asked, and the seed decides chance."""
    golden = golden_of({"a": 1000})
    first, second = ({p.id for p in draw(golden, 100, seed).prompts} for seed in (1, 2))
    assert 0 < len(first & second) < 40
