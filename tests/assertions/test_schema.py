"""JSON schemas, through `is-json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import process_time
from typing import Any, ClassVar

import pytest

from canary.assertions import parse
from canary.errors import ConfigError
from canary.protocols import Grade

Give = Callable[..., Grade]

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


class TestSchema:
    """`is-json` with a schema: the document conforms."""

    SPEC: ClassVar[dict[str, Any]] = {"type": "is-json", "value": PERSON}

    def test_passes(self, grade: Give) -> None:
        """A document that conforms passes."""
        given = grade(self.SPEC, '{"name": "Ada", "age": 36}')
        assert given == Grade(
            value=1.0, passed=True, reason='is JSON and conforms (got \'{"name": "Ada", "age": 36}\')'
        )

    def test_fails(self, grade: Give) -> None:
        """The reason names the place, and what is there."""
        given = grade(self.SPEC, '{"name": "Ada", "age": -1}')
        assert given.passed is False
        assert given.reason == (
            'breaks the schema: -1 is less than the minimum of 0 at $.age (got \'{"name": "Ada", "age": -1}\')'
        )

    @pytest.mark.parametrize("output", ["{}", '{"name": "ada"}', '{"name": "Ada", "x": 1}', '{"name": 1}', "[]", "1"])
    def test_boundary(self, grade: Give, output: str) -> None:
        """Each keyword counts, our own `pattern` among them."""
        given = grade(self.SPEC, output)
        assert given.passed is False
        assert given.reason.startswith("breaks the schema: ")

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """No output crashes the validator."""
        given = grade(self.SPEC, hostile)
        assert given.passed is False
        assert given.reason.isprintable()

    def test_deep_document(self, grade: Give) -> None:
        """A schema that recurses as deep as the document breaks without a crash."""
        spec = {
            "type": "is-json",
            "value": {"$ref": "#/$defs/list", "$defs": {"list": {"items": {"$ref": "#/$defs/list"}}}},
        }
        given = grade(spec, "[" * 400 + "]" * 400)
        assert given.passed is False
        assert given.reason.startswith("breaks the schema: nested too deeply")

    def test_slow_pattern(self, grade: Give) -> None:
        """A `pattern` that backtracks without end abstains."""
        spec = {"type": "is-json", "value": {"pattern": r"^(a|aa)+$"}}
        assert grade(spec, f'"{"a" * 50}!"').reason.startswith("TimeoutError: ")

    @pytest.mark.parametrize("more", [{}, {"additionalProperties": False}])
    def test_slow_pattern_of_names(self, grade: Give, more: dict[str, object]) -> None:
        """Names are searched on the same clock as values."""
        schema = {"patternProperties": {"^(a|aa)+$": {"type": "string"}}, **more}
        given = grade({"type": "is-json", "value": schema}, json.dumps({"a" * 60 + "!": 1}))
        assert given.passed is None
        assert given.reason.startswith("TimeoutError: '^(a|aa)+$' searched 61 characters")

    @pytest.mark.parametrize(
        ("output", "passed"),
        [('{"x-a": "s"}', True), ('{"x-a": 1}', False), ('{"n": 1}', True), ('{"b": "s"}', False), ("[]", True)],
    )
    def test_patterns_of_names(self, grade: Give, output: str, *, passed: bool) -> None:
        """What a pattern names is held against its schema, what neither it nor `properties` names is additional."""
        schema = {"properties": {"n": {}}, "patternProperties": {"^x-": {"type": "string"}}}
        assert grade({"type": "is-json", "value": schema | {"additionalProperties": False}}, output).passed is passed

    @pytest.mark.parametrize(
        ("items", "passed"),
        [
            ([1, True, "1", [1], [True], {"a": 1}, {"a": True}, {"a": [1]}], True),
            ([1, 1.0], False),
            ([{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], False),
            ([{"a": n} for n in range(20_000)], True),
        ],
    )
    def test_unique_items(self, grade: Give, items: list[object], *, passed: bool) -> None:
        """1 is 1.0 and `true` is not 1; twenty thousand objects are no work."""
        schema = {"type": "array", "uniqueItems": True}
        start = process_time()
        assert grade({"type": "is-json", "value": schema}, json.dumps(items)).passed is passed
        assert process_time() - start < 5

    def test_negation(self, grade: Give) -> None:
        """`not-is-json` with a schema passes on text and on what does not conform."""
        spec = {"type": "not-is-json", "value": PERSON}
        assert grade(spec, "text").passed is True
        assert grade(spec, "{}").passed is True
        assert grade(spec, '{"name": "Ada"}').passed is False

    def test_template(self, grade: Give) -> None:
        """A schema may hold templates, or be one."""
        inside = {"type": "is-json", "value": {"const": "{{expected}}"}}
        assert grade(inside, '{"a": 1}', expected={"a": 1}).passed is True
        whole = {"type": "is-json", "value": "{{schema}}"}
        assert grade(whole, "1", vars={"schema": {"type": "integer"}}).passed is True
        assert grade(whole, "1", vars={"schema": {"type": "string"}}).passed is False
        assert grade(whole, "1", vars={"schema": "integer"}).reason == "ValueError: must be a JSON schema: an object"

    def test_older_drafts(self, grade: Give) -> None:
        """`$schema` chooses the draft: in draft 4 an exclusive minimum was a flag."""
        draft4 = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}
        assert grade({"type": "is-json", "value": draft4}, "1").passed is False

    @pytest.mark.parametrize(
        ("schema", "message"),
        [
            ("object", "must be a JSON schema: an object (got 'object')"),
            ({"type": "objct"}, "must be a JSON schema: 'objct' is not valid"),
            ({"pattern": "(a"}, "must be a JSON schema: '(a' is not a 'regex'"),
            ({"$ref": "#/$defs/none"}, "must hold what it refers to, nothing is fetched: '#/$defs/none'"),
            (
                {"items": {"$ref": "https://example.com/s.json"}},
                "must hold what it refers to, nothing is fetched: 'https://example.com/s.json'",
            ),
        ],
    )
    def test_broken(self, schema: object, message: str) -> None:
        """A broken schema is the suite's mistake, found before any answer is."""
        with pytest.raises(ConfigError) as caught:
            parse({"type": "is-json", "value": schema})
        assert f"'assert.value' {message}" in str(caught.value)

    def test_inner_reference(self, grade: Give) -> None:
        """A schema may refer to a part of itself, by pointer or by its own id."""
        parts = {"$id": "https://example.com/person", "properties": {"a": {"$ref": "name"}}}
        parts["$defs"] = {"name": {"$id": "name", "type": "string"}}
        assert grade({"type": "is-json", "value": parts}, '{"a": "x"}').passed is True
        assert grade({"type": "is-json", "value": parts}, '{"a": 1}').passed is False
