"""YAML as plain values, each with its line."""

from __future__ import annotations

import pytest

from canary.located import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("No", "No"), ("y", "y"), ("true", True), ("False", False),
        ("~", None), ("", None), ("null", None),
        ("010", "010"), ("0x1F", "0x1F"), ("1_000", "1_000"), ("12:30:45", "12:30:45"), ("2024-01-31", "2024-01-31"),
        ("10", 10), ("-3", -3), ("1e-3", 0.001), ("1.", 1.0), (".5", 0.5), ("+1.5E3", 1500.0), ("1.2.3", "1.2.3"),
        ("!!str 5", "5"), ("'5'", "5"), ("=", "="), ("<<", "<<"),
    ],
)  # fmt: skip
def test_only_true_and_false_are_booleans_and_only_decimals_are_numbers(text: str, value: object) -> None:
    """The surprises of YAML 1.1 (on, yes, octal, dates, base 60) are plain text."""
    found = parse(f"key: {text}").value
    assert found == {"key": value}
    assert type(found["key"]) is type(value)


def test_keys_are_text_as_written() -> None:
    """`on`, numbers and dates may name metrics and strata."""
    found = parse("on: 1\n2024-01-31: 2\n1: 3\ntrue: 4\n~: 5\n").value
    assert found == {"on": 1, "2024-01-31": 2, "1": 3, "true": 4, "~": 5}


def test_anchors_and_merge_keys_share_what_two_releases_have_in_common() -> None:
    """`<<` brings keys in, and a key of one's own wins."""
    found = parse("a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc: {<<: [*b, {x: 5, z: 6}]}\n")
    assert found.value == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 3, "z": 6}}
    assert found.flaws == ()
    assert found.line(("b", "x")) == 1
