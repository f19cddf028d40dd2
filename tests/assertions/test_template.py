"""Values that come from the case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError

from canary.assertions.template import is_template, render, require_template
from canary.records import Prompt

Case = Callable[..., Prompt]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("100 %} done", "100 %} done"),
        ("{{expected}}", {"city": "Rome", "n": 2}),
        ("{{ expected.city }}", "Rome"),
        ("{{expected.n}}", 2),
        ("{{expected.n}} pieces", "2 pieces"),
        ("{{question}}", "Where?"),
        ("{{vars.question}}", "Where?"),
        ("{{metadata.stratum}}", "geo"),
        ("{{question | lower}}", "where?"),
        ("{{expected['city']}}\n", "Rome\n"),
        (["{{expected.n}}", "x", 7], [2, "x", 7]),
        ({"const": "{{expected.n}}"}, {"const": 2}),
        (7, 7),
    ],
)
def test_render(case: Case, template: Any, expected: Any) -> None:
    """A name alone keeps its type, anything more is text, deep inside too."""
    prompt = case(expected={"city": "Rome", "n": 2}, vars={"question": "Where?"}, metadata={"stratum": "geo"})
    assert render(template, prompt) == expected


def test_expected_goes_before_a_var(case: Case) -> None:
    """The case's own `expected` wins; without one a var of that name is used."""
    assert render("{{expected}}", case(expected="case", vars={"expected": "var"})) == "case"
    assert render("{{expected}}", case(vars={"expected": "var"})) == "var"


@pytest.mark.parametrize("template", ["{{expected}}", "{{a.b}}", "{{vars.x}}", "x {{y}}"])
def test_unknown_name(case: Case, template: str) -> None:
    """A name that the case lacks is an error, not an empty text."""
    with pytest.raises(UndefinedError, match=r"is undefined|has no attribute"):
        render(template, case(vars={"a": {}}))


def test_sandbox(case: Case) -> None:
    """A template cannot reach Python's insides."""
    with pytest.raises(SecurityError):
        render("{{ expected.__class__.__mro__ }} ", case(expected="x"))


def test_values_are_no_templates(case: Case) -> None:
    """What a case holds is data: braces in it stay."""
    assert render("{{a}} {{b}}", case(vars={"a": "{{b}}", "b": 1})) == "{{b}} 1"


def test_is_template() -> None:
    """Found however deep."""
    assert is_template({"a": ["x", {"b": "{{c}}"}]})
    assert not is_template({"{{a}}": ["{", 1, None]})


def test_broken() -> None:
    """A template that is none is found before it is needed."""
    with pytest.raises(ValueError, match=r"must be a valid template: "):
        require_template({"a": ["{{ b"]})
