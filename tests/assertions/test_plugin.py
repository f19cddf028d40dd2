"""Modules named under `plugins:`."""

from __future__ import annotations

from pathlib import Path

import pytest

from canary.assertions import load_plugins, parse
from canary.errors import PluginError

POLITE = """
from dataclasses import dataclass
from typing import ClassVar
from canary.protocols import Grade
from canary.records import Scale

@dataclass(frozen=True, kw_only=True)
class Polite:
    metric: str
    word: str = "please"
    scale: ClassVar[Scale] = Scale.PASS_FAIL

    def __call__(self, pairs, tools):
        said = [self.word in response.output for _, response in pairs]
        return [Grade(value=float(yes), passed=yes, reason="") for yes in said]

ASSERTIONS = {"polite": Polite}
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {
        "acme_polite": POLITE,
        "acme_polite_too": "from acme_polite import ASSERTIONS",
        "acme_takes_ours": "from acme_polite import Polite\nASSERTIONS = {'equals': Polite}",
        "acme_bad_name": "from acme_polite import Polite\nASSERTIONS = {'not-polite': Polite}",
        "acme_bad_class": "ASSERTIONS = {'polite': print}",
        "acme_no_table": "",
        "acme_list": "ASSERTIONS = ['polite']",
        "acme_broken": "1 / 0",
        "acme_syntax": "def",
        "acme_exits": "import sys; sys.exit(0)",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)


def test_loads() -> None:
    """The table of a plugin is what `parse` takes."""
    plugins = load_plugins(["acme_polite"])
    assert list(plugins) == ["polite"]
    assert parse({"type": "not-polite", "word": "bitte"}, plugins).metric == "not-polite"


def test_none() -> None:
    """No plugin, no entry."""
    assert load_plugins([]) == {}


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (
            ["acme_polite", "acme_polite_too"],
            "assertion 'polite' is defined twice: in acme_polite and in acme_polite_too",
        ),
        (["acme_takes_ours"], "assertion 'equals' is defined twice: in canary.assertions and in acme_takes_ours"),
        (["acme_bad_name"], "plugin acme_bad_name: 'not-polite' must be lower case"),
        (
            ["acme_bad_class"],
            "plugin acme_bad_class: 'polite' must be a class with __call__ (got <built-in function print>)",
        ),
        (["acme_no_table"], "plugin acme_no_table must have a table ASSERTIONS: name -> class (got None)"),
        (["acme_list"], "plugin acme_list must have a table ASSERTIONS: name -> class (got ['polite'])"),
        (["acme_absent"], "cannot import plugin acme_absent: ModuleNotFoundError: No module named 'acme_absent'"),
        (["acme_broken"], "cannot import plugin acme_broken: ZeroDivisionError: division by zero"),
        (["acme_syntax"], "cannot import plugin acme_syntax: SyntaxError"),
        (["acme_exits"], "cannot import plugin acme_exits: SystemExit: 0"),
    ],
)
def test_broken(modules: list[str], message: str) -> None:
    """What is wrong with a plugin is said with its name."""
    with pytest.raises(PluginError) as caught:
        load_plugins(modules)
    assert str(caught.value).startswith(message)
