"""What users write under `assert`."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from canary.assertions import ASSERTIONS, parse
from canary.assertions.ifeval.arguments import Number
from canary.assertions.ifeval.assertion import CHECKS
from canary.errors import ConfigError, PluginError
from canary.records import Scale

EXAMPLES: dict[str, dict[str, Any]] = {
    "equals": {"value": "{{expected}}"},
    "contains": {"value": "x"},
    "contains-any": {"value": ["x"]},
    "contains-all": {"value": ["x"]},
    "icontains": {"value": "x"},
    "starts-with": {"value": "x"},
    "regex": {"value": "x"},
    "is-json": {"value": {"type": "object"}},
    "word-count": {"value": 1},
    "token-count": {"value": {"max": 1}},
    "is-refusal": {},
    "guardrails": {"classes": ["violence"]},
    "f1": {"value": "x", "threshold": 0.7},
    "similar": {"value": ["x"], "threshold": 0.7},
    "llm-rubric": {"value": "is polite", "votes": 3},
    "closed-qa": {"value": "names the price"},
    "factuality": {"value": "{{expected}}"},
    "select-best": {"value": "is clearer"},
    "g-eval": {"value": "is clear", "threshold": 0.7},
    "python": {"value": "os.path:join"},
    "icontains-any": {"value": ["x"]},
    "icontains-all": {"value": ["x"]},
    "contains-json": {"value": {"type": "object"}},
    "is-xml": {"value": {"requiredElements": ["a.b"]}},
    "contains-xml": {},
    "is-html": {},
    "contains-html": {},
    "is-sql": {"value": {"databaseType": "MySQL"}},
    "contains-sql": {},
    "is-valid-openai-tools-call": {},
    "is-valid-function-call": {},
    "is-valid-openai-function-call": {},
    "tool-call-f1": {"value": ["x"]},
    "trajectory:tool-used": {"value": "x"},
    "trajectory:tool-args-match": {"value": {"name": "x", "args": {}}},
    "trajectory:tool-sequence": {"value": ["x"]},
    "contains-entity": {"value": ["x"]},
    "forbidden-phrases": {"value": ["x"]},
    "contains-pii": {},
    "finish-reason": {"value": "stop"},
    "latency": {"threshold": 500},
    "cost": {"threshold": 0.01},
    "perplexity": {"threshold": 5},
    "perplexity-score": {},
    "levenshtein": {"value": "x"},
    "rouge-n": {"value": "x"},
    "bleu": {"value": "x"},
    "gleu": {"value": "x"},
    "meteor": {"value": "x"},
}
_ARGUMENTS: dict[str, Any] = {
    "relation": "at least",
    "let_relation": "at least",
    "capital_relation": "at least",
    "keywords": ["x"],
    "forbidden_words": ["x"],
}
EXAMPLES |= {
    f"ifeval:{rule}": {
        argument.name: _ARGUMENTS.get(argument.name, 3 if argument.kind is Number else "x") for argument in arguments
    }
    for rule, (_, arguments) in CHECKS.items()
}


def test_every_type_has_an_example() -> None:
    """The list below covers the table."""
    assert EXAMPLES.keys() == ASSERTIONS.keys()


@pytest.mark.parametrize("kind", ASSERTIONS)
def test_every_type(kind: str) -> None:
    """Each reads, is named after its type unless told otherwise, and travels to another process."""
    keys = EXAMPLES[kind]
    assert parse({"type": kind, **keys}).metric == kind.replace(":", ".")
    if kind != "select-best":
        assert parse({"type": f"not-{kind}", **keys}).metric == f"not-{kind}".replace(":", ".")
    named = parse({"type": kind, "metric": "mine", **keys})
    assert named.metric == "mine"
    assert pickle.loads(pickle.dumps(named)) == named


@pytest.mark.parametrize("kind", ASSERTIONS)
def test_every_type_refuses_unknown_keys(kind: str) -> None:
    """A key that means nothing is a mistake."""
    with pytest.raises(
        ConfigError, match=r"'assert\.wait' is not a known key .*\(valid: type, transform, weight, metric"
    ):
        parse({"type": kind, **EXAMPLES[kind], "wait": 0})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "'assert[0].type' is required (valid: equals, contains, "),
        (
            {"type": "eqals"},
            "'assert[0].type' is no assertion we know: 'eqals'; did you mean 'equals'? (valid: equals, ",
        ),
        ({"type": "not-contain"}, "'not-contain'; did you mean 'not-contains'?"),
        ({"type": "not-not-equals"}, "'assert[0].type' is no assertion we know: 'not-not-equals'"),
        ({"type": 3}, "'assert[0].type' is no assertion we know: 3"),
        ({"type": []}, "'assert[0].type' is no assertion we know: []"),
        ({"type": "equals"}, "'assert[0].value' is required"),
        (
            {"type": "f1", "value": "x", "treshold": 0.5},
            "'assert[0].treshold' is not a known key; did you mean 'threshold'? (valid: type, transform, ",
        ),
        ({"type": "f1", "value": "x", "threshold": 7}, "'assert[0].threshold' must be at most 1 (got 7)"),
        ({"type": "f1", "value": "x", "threshold": "high"}, "'assert[0].threshold' must be a number (got 'high')"),
        ({"type": "is-refusal", "metric": "pass"}, "'assert[0].metric' must be another name: 'pass' is reserved"),
        ({"type": "is-refusal", "metric": "all"}, "'assert[0].metric' must be another name: 'all' is reserved"),
        ({"type": "is-refusal", "metric": "a/b"}, "'assert[0].metric' must match pattern"),
        ({"type": "is-refusal", "metric": 3}, "'assert[0].metric' must be text (got 3)"),
        ({"type": "equals", "value": "{{ a"}, "'assert[0].value' must be a valid template: unexpected end of template"),
        ("equals", "'assert[0]' must be a mapping with a 'type' (got 'equals')"),
    ],
)
def test_mistakes(spec: Any, message: str) -> None:
    """Each is named by its place, with what is valid instead."""
    with pytest.raises(ConfigError) as caught:
        parse(spec, where="assert[0]")
    assert message in str(caught.value)


def test_all_mistakes_at_once() -> None:
    """Not the first one only."""
    with pytest.raises(ConfigError) as caught:
        parse({"type": "f1", "value": "", "threshold": 2, "metric": "pass", "extra": 1})
    assert len(caught.value.problems) == 4


@dataclass(frozen=True, kw_only=True)
class Long:
    """A plugin as a plain dataclass."""

    metric: str
    least: int = 1
    scale: ClassVar[Scale] = Scale.UNBOUNDED

    def __post_init__(self) -> None:
        """Bounds of its own."""
        if self.least < 0:
            raise ValueError("must have least >= 0")


class Model(BaseModel):
    """A plugin that forgot its scale."""

    metric: str
    scale: ClassVar[str] = "bounded"


def test_plugin() -> None:
    """A plugin's fields are its keys, checked like our own."""
    long: object = parse({"type": "long", "least": 3}, {"long": Long})
    assert long == Long(metric="long", least=3)
    with pytest.raises(ConfigError, match=r"'assert\.leest' is not a known key; did you mean 'least'\?"):
        parse({"type": "long", "leest": 3}, {"long": Long})
    with pytest.raises(ConfigError, match=r"'assert\.least' must be a whole number.* \(got 'x'\)"):
        parse({"type": "long", "least": "x"}, {"long": Long})
    with pytest.raises(ConfigError, match=r"'assert' must have least >= 0"):
        parse({"type": "long", "least": -1}, {"long": Long})


def test_plugin_in_the_list() -> None:
    """Plugins are among the valid names."""
    with pytest.raises(ConfigError, match=r"did you mean 'long'\? .*python, assert-set, long, "):
        parse({"type": "lon"}, {"long": Long})


def test_plugin_negated() -> None:
    """A number without bounds has no opposite."""
    with pytest.raises(ConfigError, match=r"must not negate 'long': the opposite of an unbounded score is unknown"):
        parse({"type": "not-long"}, {"long": Long})


@pytest.mark.parametrize(
    ("cls", "message"),
    [(Model, "Model must declare its scale \\(got 'bounded'\\)"), (int, "must be a frozen dataclass or a pydantic")],
)
def test_broken_plugin(cls: type, message: str) -> None:
    """A class that breaks the contract is named."""
    with pytest.raises(PluginError, match=message):
        parse({"type": "broken"}, {"broken": cls})


def test_a_judge_in_a_set_is_refused() -> None:
    """With its place and the reason, however deep it stands."""
    inner = {"type": "not-llm-rubric", "value": "polite"}
    with pytest.raises(ConfigError) as caught:
        parse({"type": "assert-set", "assert": [{"type": "is-json"}, inner]})
    assert caught.value.problems == (
        "'assert.assert[1]' must not ask a judge: a judge answers for itself, outside of a set",
    )
