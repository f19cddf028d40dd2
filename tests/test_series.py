"""Many numbers, packed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from canary.codec import decode, encode
from canary.records import Arm, Response
from canary.series import Series

NUMBERS = (0.1, 0.0, 1e-300, 86_400.0)


def test_they_are_what_a_tuple_of_them_is() -> None:
    """Equal from either side, hashed, shown, cut and pickled alike; and no list."""
    series = Series(NUMBERS)

    assert (series == NUMBERS, series == Series(NUMBERS)) == (True, True)
    assert series not in (None, (), list(NUMBERS), NUMBERS[:3])
    assert (hash(series), repr(series)) == (hash(NUMBERS), repr(NUMBERS))
    assert series[1:] == NUMBERS[1:]
    assert (series[-1], len(series), bool(Series())) == (NUMBERS[-1], 4, False)
    assert pickle.loads(pickle.dumps(series)) == series


def test_they_cannot_be_changed() -> None:
    """A record that holds them is frozen through and through."""
    with pytest.raises(TypeError):
        Series(NUMBERS)[0] = 1.0  # type: ignore[index]


def test_answers_are_read_packed(tmp_path: Path) -> None:
    """From a run's journal each number is what was written, to the bit."""
    answer = Response(id="1", arm=Arm.BASELINE, output="", itl_s=NUMBERS, logprobs=(-0.5,))
    path = tmp_path / "responses.jsonl"
    path.write_bytes(encode(answer))

    with path.open("rb") as file:
        ((read,),) = decode(Response, file, str(path))

    assert read == answer
    assert (type(read.itl_s), type(read.logprobs)) == (Series, Series)
    assert encode(read) == encode(answer)
