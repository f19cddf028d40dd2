"""The order in which cases are asked: fixed by plan and cases, fair to every stratum."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from canary.order import LOOKS, checkpoints, visiting_order
from canary.records import MINIMUM_PAIRS, Prompt


def make_cases(**strata: int) -> tuple[Prompt, ...]:
    """So many cases of each stratum."""
    return tuple(
        Prompt(
            id=f"{name}-{i}", digest=f"{name}{i}", stratum=name, cluster=f"{name}-{i}",
            vars={}, messages=None, expected=None, asserts=(),
        )
        for name, count in strata.items()
        for i in range(count)
    )  # fmt: skip


@pytest.mark.parametrize("strata", [{"a": 150, "b": 150, "c": 150}, {"a": 400, "b": 37, "c": 3}, {"a": 1}])
def test_every_beginning_holds_the_strata_in_their_shares(strata: dict[str, int]) -> None:
    """However early a run ends, no stratum is more than a case away from its share."""
    cases = make_cases(**strata)
    seen: Counter[str] = Counter()

    for asked, case in enumerate(visiting_order(cases, seed=3), 1):
        seen[case.stratum] += 1
        assert all(abs(seen[name] - asked * count / len(cases)) <= 1.5 for name, count in strata.items())

    assert seen == strata


def test_the_order_is_a_function_of_cases_and_seed() -> None:
    """Lines in another order are the same cases; another seed, or another content, is another order."""
    cases = list(make_cases(a=40, b=20))
    shuffled = random.Random(1).sample(cases, len(cases))

    assert visiting_order(cases, 0) == visiting_order(shuffled, 0)
    assert visiting_order(cases, 0) != visiting_order(cases, 1)
    renewed = [replace(case, digest=f"{case.digest}x") for case in cases]
    assert [case.id for case in visiting_order(renewed, 0)] != [case.id for case in visiting_order(cases, 0)]


def test_the_order_within_a_stratum_is_random() -> None:
    """Over many seeds every case comes first about equally often: 200 draws of 10, 20 each, sd 4.2."""
    cases = make_cases(a=10)
    first = Counter(visiting_order(cases, seed)[0].id for seed in range(200))

    assert len(first) == 10
    assert max(abs(count - 20) for count in first.values()) <= 17


def test_few_looks_none_of_them_at_too_few_cases() -> None:
    """At most twenty, ten cases apart or more, the last at the end; nothing to look at in no cases."""
    assert checkpoints(0) == ()
    assert checkpoints(7) == (7,)
    assert checkpoints(25) == (10, 20, 25)
    for cases in (11, 200, 750, 10_000):
        ends = checkpoints(cases)
        assert len(ends) <= LOOKS
        assert ends[-1] == cases
        assert ends[0] >= MINIMUM_PAIRS
