"""The model that assertions ask; a heavy library is loaded when it first embeds."""

from __future__ import annotations

from canary.models.sentence_transformers import MiniLM
from canary.protocols import Embedder


def open_embedder() -> Embedder:
    """The embedder; MissingExtra where its library is not installed."""
    return MiniLM()
