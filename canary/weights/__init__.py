"""Weights that are no folder: which they are just now, and where this machine finds them."""

from __future__ import annotations

from canary.weights.adapter import rank_of
from canary.weights.checkpoint import ADAPTER, CHECKPOINT, digest_of_folder
from canary.weights.hub import commit_of
from canary.weights.mlflow import fetch

__all__ = ["ADAPTER", "CHECKPOINT", "commit_of", "digest_of_folder", "fetch", "rank_of"]
