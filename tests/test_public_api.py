"""The names other people's code may import."""

from __future__ import annotations

import importlib
import inspect
import types

import pytest

import canary

PUBLIC = [
    "Arm",
    "CanaryError",
    "ConfigError",
    "Decision",
    "EngineError",
    "ErrorKind",
    "Evidence",
    "EvidenceError",
    "Failure",
    "GateError",
    "GoldenSetError",
    "MissingExtra",
    "Plan",
    "PluginError",
    "Policy",
    "Prompt",
    "Response",
    "Scale",
    "Score",
    "Signal",
    "Status",
    "Tier",
    "UsageError",
    "Verdict",
]


def test_public_names_are_pinned() -> None:
    """A name appears in or leaves the public list only on purpose, and in order."""
    assert canary.__all__ == PUBLIC == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_documented_and_ours(name: str) -> None:
    """Each public name is a class of this package that says what it is."""
    found = getattr(canary, name)

    assert found.__module__.startswith("canary.")
    assert found is getattr(importlib.import_module(found.__module__), name)
    assert inspect.getdoc(found)


def test_public_names_are_listed() -> None:
    """`dir(canary)` shows what is loaded only on first use."""
    assert set(PUBLIC) <= set(dir(canary))


def test_unknown_name() -> None:
    """A wrong name is an AttributeError, as everywhere."""
    with pytest.raises(AttributeError, match="module 'canary' has no attribute 'Verdikt'"):
        _ = canary.Verdikt


def test_every_error_is_one_of_ours() -> None:
    """One `except` catches all that this package raises by itself."""
    errors = [getattr(canary, name) for name in PUBLIC if name.endswith("Error")]

    assert all(issubclass(error, canary.CanaryError) for error in errors)


def test_evaluate_is_the_one_path() -> None:
    """The pure path is one function of evidence and plan.

    It is imported from its module: a package cannot hold a function and a
    module of the same name.
    """
    module = importlib.import_module("canary.evaluate")

    assert isinstance(module, types.ModuleType)
    assert list(inspect.signature(module.evaluate).parameters)[:2] == ["evidence", "plan"]
