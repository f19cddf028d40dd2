"""Embeddings kept on disk, so that a text is embedded once and for all.

One SQLite file, safe for runs side by side: a transaction a batch, and equal
keys hold equal values. A file that cannot be read is rebuilt, a folder that
cannot be written means no cache; both are warned about and neither stops a
run.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_AT_ONCE = 500
"""Keys a query; SQLite's oldest limit is 999."""
_BUSY_S = 30.0


class VectorCache:
    """Unit vectors of one model by text."""

    def __init__(self, path: Path, model: str, size: int) -> None:
        self.path = path
        self._model = model
        self._size = size

    def get(self, texts: Sequence[str]) -> dict[str, Vector]:
        """The vectors known so far; one that is damaged is unknown."""
        by_key = {self._key(text): text for text in texts}
        nothing: dict[bytes, bytes] = {}
        found = self._attempt(lambda connection: _select(connection, list(by_key)), nothing)
        vectors = {by_key[key]: self._vector(blob) for key, blob in found.items()}
        return {text: vector for text, vector in vectors.items() if vector is not None}

    def put(self, vectors: Mapping[str, Vector]) -> None:
        """Keep these; what another run has kept meanwhile is overwritten by its equal."""
        rows = [(self._key(text), vector.astype("<f4").tobytes()) for text, vector in vectors.items()]
        self._attempt(lambda connection: _insert(connection, rows), None)

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._model}\0{text}".encode()).digest()

    def _vector(self, blob: bytes) -> Vector | None:
        import numpy as np  # noqa: PLC0415 - only embeddings pay for it

        if not isinstance(blob, bytes) or len(blob) != 4 * self._size:
            return None
        vector = np.frombuffer(blob, dtype="<f4").astype(np.float32)
        return vector if abs(float(vector @ vector) - 1) < 1e-3 else None

    def _attempt(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """What the work gives, or `otherwise` where the file does not let it."""
        try:
            with _opened(self.path) as connection:
                return work(connection)
        except sqlite3.OperationalError as error:  # locked, read-only, disk full: not ours to delete
            _LOG.warning("embeddings are not cached: %s: %s", self.path, error)
        except sqlite3.DatabaseError as error:
            _LOG.warning("the cache of embeddings is damaged and starts anew: %s: %s", self.path, error)
            _discard(self.path)
        except OSError as error:
            _LOG.warning("embeddings are not cached: %s", error)
        return otherwise


def _discard(path: Path) -> None:
    with suppress(OSError):  # another run may hold it open, or have discarded it already
        path.unlink()


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=_BUSY_S)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
        yield connection


def _select(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        marks = ",".join("?" * len(part))
        found.update(connection.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part))  # noqa: S608
    return found


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[bytes, bytes]]) -> None:
    connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
