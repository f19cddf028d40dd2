"""Registered models and prompts of MLflow: which version is champion, and who made it so."""

from __future__ import annotations

from canary.registry.entry import CHAMPION, PREVIOUS, Entry, ModelEntry, PromptEntry
from canary.registry.transition import Transition, claim, move, read_transitions, settle, standing

__all__ = [
    "CHAMPION",
    "PREVIOUS",
    "Entry",
    "ModelEntry",
    "PromptEntry",
    "Transition",
    "claim",
    "move",
    "read_transitions",
    "settle",
    "standing",
]
