"""Observations are kept line by line, and survive what a crash leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from canary.codec import encode, evidence_digests
from canary.errors import EvidenceError
from canary.evidence import read_records, stored_digests
from canary.records import Arm, Evidence, Observation
from canary.run.observe import observing


def moment(at: float, **values: float) -> list[Observation]:
    """Both arms, together."""
    return [Observation(arm=arm, replica=0, at=at, values=values) for arm in Arm]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where they are kept."""
    return tmp_path / "observations.jsonl"


def test_nothing_observed_leaves_no_file(path: Path) -> None:
    """A run without servers of its own has the files it always had."""
    with observing(path, print):
        pass

    assert not path.exists()


def test_kept_and_told(path: Path) -> None:
    """Read back as they were, and how long a start took is said once for each server."""
    said: list[str] = []
    with observing(path, said.append) as note:
        note(moment(1.5, started_s=12.34, cpu=0.5))
        note(moment(2.5))

    assert list(read_records(Observation, path)) == moment(1.5, cpu=0.5, started_s=12.34) + moment(2.5)
    assert said == ["baseline, replica 1: up after 12.3 s", "candidate, replica 1: up after 12.3 s"]


def test_resumed_after_a_crash(path: Path) -> None:
    """A torn last line is taken back and said, what is whole is kept, and the rest follows it."""
    whole = b"".join(map(encode, moment(1.0, cpu=0.25)))
    path.write_bytes(whole + encode(moment(2.0)[0])[:-9])
    said: list[str] = []

    with observing(path, said.append) as note:
        note(moment(3.0))

    assert "observations.jsonl: cut off a torn last line" in "".join(said)
    assert list(read_records(Observation, path)) == moment(1.0, cpu=0.25) + moment(3.0)


def test_digests(tmp_path: Path, path: Path) -> None:
    """In the record where there are any, the same from file and from memory; else it has no word of them."""
    seen = (*moment(1.0, cpu=0.25), *moment(2.0))
    for name in ("prompts", "responses", "scores"):
        (tmp_path / f"{name}.jsonl").touch()
    without = evidence_digests(Evidence(prompts=(), responses=(), scores=()))
    assert stored_digests(tmp_path) == without
    path.write_bytes(b"".join(map(encode, seen)))

    digests = evidence_digests(Evidence(prompts=(), responses=(), scores=(), observations=seen[::-1]))

    assert stored_digests(tmp_path) == digests
    assert digests.keys() - without.keys() == {"observations"}


def test_no_number_that_is_none(path: Path) -> None:
    """It is neither written nor read."""
    with pytest.raises(EvidenceError, match="observation of the baseline cannot be written: a number must be finite"):
        encode(moment(1.0, cpu=float("nan"))[0])
    path.write_text('{"arm":"baseline","replica":0,"at":1.0,"values":{"cpu":NaN}}\n')
    with pytest.raises(EvidenceError, match=r"observations\.jsonl:1: .*finite"):
        read_records(Observation, path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"replica":0,"at":1.0,"values":{"cpu":1.5}', "'values': 'cpu' must be 0 to 1 (got 1.5)"),
        ('"replica":0,"at":1.0,"values":{"kv_cache":-0.1}', "'values': 'kv_cache' must be 0 to 1 (got -0.1)"),
        ('"replica":0,"at":1.0,"values":{"waiting":-1}', "'values': 'waiting' must be 0 or more (got -1)"),
        ('"replica":-1,"at":1.0,"values":{}', "'replica': Input should be greater than or equal to 0"),
        ('"replica":0,"at":1e15,"values":{}', "'at': Input should be less than or equal to 1"),
    ],
)
def test_what_no_server_can_be(path: Path, line: str, said: str) -> None:
    """It is no evidence; the error names file, line and field."""
    fine = encode(moment(1.0, cpu=1.0)[0]).decode()
    path.write_text(f'{fine}{{"arm":"candidate",{line}}}\n')

    with pytest.raises(EvidenceError) as caught:
        read_records(Observation, path)

    assert str(caught.value).startswith(f"{path}:2: {said}")
