"""JSON schemas as checks: compiled once, nothing fetched, patterns on a clock, no work beyond the document's size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from typing import Any

from canary.assertions.excerpt import shorten
from canary.assertions.pattern import search

Check = Callable[[Any], str | None]
"""Says what is wrong with a document; None where nothing is."""


def canonical(schema: Any) -> str:
    """One text for schemas that differ in the order of keys only."""
    return json.dumps(schema, sort_keys=True)


@lru_cache(maxsize=4096)
def check_for(schema_text: str) -> Check:
    """A check against a JSON schema; draft 2020-12 unless it names another.

    ValueError where the schema is broken or refers to what it does not hold.
    A document nested too deeply for the schema breaks it.
    """
    import jsonschema  # noqa: PLC0415 - only schemas pay for it
    from referencing import Registry  # noqa: PLC0415

    schema = json.loads(schema_text)
    draft = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        draft.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"must be a JSON schema: {shorten(error.message, 160)} at {error.json_path}") from error
    _require_resolvable(schema, draft)
    validator = _guarded(draft)(schema, registry=Registry())
    return lambda document: _problem(validator, document)


def _problem(validator: Any, document: Any) -> str | None:
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    try:
        error = best_match(validator.iter_errors(document))
        return None if error is None else f"{shorten(error.message, 160)} at {error.json_path}"
    except RecursionError:
        return "nested too deeply"


@cache
def _guarded(draft: Any) -> Any:
    """The draft's validator with time-limited patterns, for values and names alike, and `uniqueItems` that counts."""
    from jsonschema import validators  # noqa: PLC0415

    extend: Any = validators.extend  # untyped
    additional = partial(_additional, draft.VALIDATORS["additionalProperties"])
    named = {"patternProperties": _pattern_properties, "additionalProperties": additional}
    return extend(draft, {"pattern": _pattern, "uniqueItems": _unique} | named)


def _pattern(validator: Any, wanted: str, instance: Any, schema: Any) -> Iterator[Exception]:  # noqa: ARG001
    from jsonschema import ValidationError  # noqa: PLC0415

    if isinstance(instance, str) and search(wanted, instance) is None:
        yield ValidationError(f"{instance[:80]!r} does not match {wanted!r}")


def _pattern_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Exception]:  # noqa: ARG001
    for name, value in instance.items() if isinstance(instance, dict) else ():
        for pattern, inner in wanted.items():
            if search(pattern, name) is not None:
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional(usual: Any, validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Exception]:
    """The usual check, given only the names that no pattern matches."""
    patterns = schema.get("patternProperties", {})
    if isinstance(instance, dict) and patterns:
        known = schema.get("properties", {})
        left = (name for name in instance if name not in known and all(search(p, name) is None for p in patterns))
        instance, schema = {name: instance[name] for name in left}, {}
    yield from usual(validator, allowed, instance, schema)


def _unique(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Exception]:  # noqa: ARG001
    from jsonschema import ValidationError  # noqa: PLC0415

    if wanted and isinstance(instance, list) and len(set(map(_frozen, instance))) < len(instance):
        yield ValidationError(f"{shorten(repr(instance))} has non-unique elements")


def _frozen(value: Any) -> Any:
    """A document as one that can be counted: 1 is 1.0, `true` is not 1."""
    if isinstance(value, dict):
        return frozenset((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return str(value).encode() if isinstance(value, bool) else value  # bytes: nothing else is


def _require_resolvable(schema: Any, draft: Any) -> None:
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415
    from referencing.jsonschema import specification_with  # noqa: PLC0415

    resource: Any = specification_with(draft.META_SCHEMA["$schema"]).create_resource(schema)
    resolver: Any = Registry().with_resource(resource.id() or "", resource).resolver(resource.id() or "")
    for reference, scope in _references(resource, resolver):
        try:
            scope.lookup(reference)
        except Unresolvable as error:
            raise ValueError(f"must hold what it refers to, nothing is fetched: {reference!r}") from error


def _references(resource: Any, resolver: Any) -> Iterator[tuple[str, Any]]:
    """Every `$ref`, with the resolver of where it stands."""
    contents = resource.contents
    if isinstance(contents, dict) and isinstance(contents.get("$ref"), str):
        yield contents["$ref"], resolver
    for part in resource.subresources():
        yield from _references(part, resolver.in_subresource(part))
