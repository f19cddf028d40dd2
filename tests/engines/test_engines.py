"""The table of engines."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import get_args

import pytest

from canary.engines import ENGINES, open_engine
from canary.records import Arm
from canary.release import OpenAIRelease, ReplayRelease, TransformersRelease, VllmRelease
from tests.engines.conftest import release


def test_table_is_complete() -> None:
    """Every engine that a release may name is in the table, and no other."""
    releases = (ReplayRelease, TransformersRelease, OpenAIRelease, VllmRelease)

    assert {name for each in releases for name in get_args(each.model_fields["engine"].annotation)} == set(ENGINES)


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_entries_exist(name: str) -> None:
    """Every entry names a function that is there."""
    module, function = ENGINES[name].split(":")

    assert callable(getattr(import_module(module), function))


def test_open_engine() -> None:
    """A release is opened by the engine it names."""
    opened = open_engine(release("http://localhost"), Arm.BASELINE)

    assert hasattr(opened, "__aenter__")


def test_engines_are_imported_on_first_use() -> None:
    """The table itself costs nothing."""
    probe = "import sys, canary.engines; print([m for m in ('aiohttp', 'torch', 'transformers') if m in sys.modules])"

    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"
