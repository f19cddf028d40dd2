"""Samples and counters of one arm's servers over a run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from canary.compare.observed import ArmServers, observe
from canary.records import Arm, Evidence, Observation, Response


def seen(values: Sequence[dict[str, float]], *, replica: int = 0, arm: Arm = Arm.CANDIDATE) -> tuple[Observation, ...]:
    """One sample a second."""
    return tuple(Observation(arm=arm, replica=replica, at=100.0 + at, values=said) for at, said in enumerate(values))


def of(*replicas: tuple[Observation, ...]) -> ArmServers:
    """The candidate, from its replicas' samples in no order."""
    mixed = tuple(one for replica in replicas for one in reversed(replica))
    return observe(Evidence(prompts=(), responses=(), scores=(), observations=mixed))[Arm.CANDIDATE]


def counts(*numbers: float) -> tuple[Observation, ...]:
    """A counter, second by second."""
    return seen([{"tokens": number} for number in numbers])


@pytest.mark.parametrize(
    ("numbers", "rise"),
    [
        ((5, 9, 20), 15),  # the first value was there before the run
        ((5, 5), 0),
        ((5, 20, 3, 4), 15 + 3 + 1),  # started anew: 3 came after zero
        ((7,), None),
        ((), None),
    ],
)
def test_rise(numbers: tuple[float, ...], rise: float | None) -> None:
    """Differences between neighbours, and from zero where a counter fell."""
    assert of(counts(*numbers) or seen([{}])).rise("tokens") == rise


def test_a_server_that_says_it_is_new() -> None:
    """What its counter stands at is no rise, though it be higher than its forerunner's."""
    replaced = of(seen([{"tokens": 5}, {"tokens": 8}, {"tokens": 50, "started_s": 9.0}, {"tokens": 52}]))

    assert replaced.rise("tokens") == 3 + 2
    assert replaced.rate("tokens") == (3 + 2) / 2


def test_rate() -> None:
    """Per second of one replica; a second in which a server started is none of them."""
    assert of(counts(0, 30, 60)).rate("tokens") == 30
    assert of(counts(0, 30, 2, 32)).rate("tokens") == pytest.approx((30 + 30) / 2)
    assert of(counts(0, 30), seen([{"tokens": 0}, {"tokens": 10}], replica=1)).rate("tokens") == 20
    assert of(counts(9, 3)).rate("tokens") is None
    assert of(seen([{"tokens": 1}, {}, {"tokens": 9}])).rate("tokens") == 4  # one scrape failed


def test_levels_and_requests() -> None:
    """Every sample of all replicas that has the value; requests are the arm's own."""
    responses = tuple(Response(id="a", arm=arm, output="") for arm in (*Arm, Arm.CANDIDATE))
    levels = (*seen([{"cpu": 0.5}, {}]), *seen([{"cpu": 0.25}], replica=1))

    found = observe(Evidence(prompts=(), responses=responses, scores=(), observations=levels))

    assert found.keys() == {Arm.CANDIDATE}
    assert sorted(found[Arm.CANDIDATE].levels("cpu")) == [0.25, 0.5]
    assert found[Arm.CANDIDATE].requests == 2
