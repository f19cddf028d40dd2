"""Embeddings kept on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from canary.models.vectors import VectorCache


def unit(*values: float) -> NDArray[np.float32]:
    """A vector of length 1."""
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


def cache(path: Path, model: str = "model/1") -> VectorCache:
    """A cache of vectors in the plane."""
    return VectorCache(path, model, 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in a folder that is still to be made."""
    return tmp_path / "new" / "vectors.sqlite3"


def warned(caplog: pytest.LogCaptureFixture) -> Sequence[str]:
    """What was said aloud."""
    return [record.getMessage() for record in caplog.records]


def test_keeps(path: Path) -> None:
    """What is put is found again by another run, exactly."""
    cache(path).put({"a": unit(1, 2), "b": unit(-1, 0)})
    found = cache(path).get(["b", "a", "c"])
    assert found.keys() == {"a", "b"}
    assert np.array_equal(found["a"], unit(1, 2))
    assert found["a"].dtype == np.float32


def test_many(path: Path) -> None:
    """More texts than one query may name."""
    texts = [str(n) for n in range(1234)]
    cache(path).put(dict.fromkeys(texts, unit(1, 0)))
    assert cache(path).get(texts).keys() == set(texts)


def test_models_are_apart(path: Path) -> None:
    """Another model's vector is not ours."""
    cache(path, "model/1").put({"a": unit(1, 0)})
    assert cache(path, "model/2").get(["a"]) == {}


def test_texts_are_not_kept(path: Path) -> None:
    """The file holds digests: what was asked stays private."""
    cache(path).put({"a secret question": unit(1, 0)})
    assert b"secret" not in path.read_bytes()


@pytest.mark.parametrize("damage", [b"garbage" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_damaged_file(path: Path, caplog: pytest.LogCaptureFixture, damage: bytes) -> None:
    """A file that is no cache is rebuilt with a warning."""
    path.parent.mkdir()
    path.write_bytes(damage)
    assert cache(path).get(["a"]) == {}
    assert warned(caplog)[0].startswith("the cache of embeddings is damaged and starts anew: ")
    cache(path).put({"a": unit(1, 0)})
    assert cache(path).get(["a"]).keys() == {"a"}


@pytest.mark.parametrize(
    "blob", [b"short", np.array([3, 4], "<f4").tobytes(), np.array([np.nan, 0], "<f4").tobytes(), 5]
)
def test_damaged_vector(path: Path, blob: object) -> None:
    """A vector that is none is unknown, and replaced."""
    cache(path).put({"a": unit(1, 0)})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE vectors SET vector = ?", (blob,))
    assert cache(path).get(["a"]) == {}
    cache(path).put({"a": unit(1, 0)})
    assert cache(path).get(["a"]).keys() == {"a"}


def test_no_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be written there is no cache, a warning, and no crash."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "vectors.sqlite3"):
        cache(path).put({"a": unit(1, 0)})
        assert cache(path).get(["a"]) == {}
    assert len(warned(caplog)) == 4
    assert all(message.startswith("embeddings are not cached: ") for message in warned(caplog))


def test_another_table(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A database of somebody else is left alone."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE vectors (other TEXT)")
    assert cache(path).get(["a"]) == {}
    assert warned(caplog)[0].startswith("embeddings are not cached: ")
    assert path.exists()


def test_side_by_side(path: Path) -> None:
    """Runs that write at the same time lose nothing."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: cache(path).put({f"{n}-{k}": unit(1, k) for k in range(20)}), range(16)))
    assert len(cache(path).get([f"{n}-{k}" for n in range(16) for k in range(20)])) == 320
