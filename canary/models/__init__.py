"""Models that assertions may ask; each opened where it is first needed."""

from __future__ import annotations

import importlib

from canary.protocols import Embedder

EMBEDDERS: dict[str, str] = {
    "all-MiniLM-L6-v2": "canary.models.sentence_transformers:MiniLM",
}
"""Where each embedder is; importing one of these loads no heavy library yet."""


def open_embedder(name: str = "all-MiniLM-L6-v2") -> Embedder:
    """The embedder of that name; MissingExtra where its library is not installed."""
    module, _, attribute = EMBEDDERS[name].partition(":")
    embedder: Embedder = getattr(importlib.import_module(module), attribute)()
    return embedder
