"""Golden sets: what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from canary.errors import PluginError
from canary.golden import load_golden_sets
from canary.golden.lines import spans
from canary.pipeline import Suite
from tests.golden_files import case, here, problems, write

__all__ = ["here"]  # fixture


def test_reports_every_mistake_of_a_file_with_its_line() -> None:
    """A line that is no case is said to be so; the others are still checked."""
    lines: list[Mapping[str, Any] | bytes] = [
        {"id": "a"},
        {"id": ""},
        {"id": 3},
        {"id": "x\x07y"},
        {"vars": {}},
        {"id": "b", "var": {}},
        {"id": "c", "vars": []},
        {"id": "d", "messages": [{"role": "usr", "content": 3}]},
        {"id": "e", "messages": []},
        {"id": "f", "assert": [3]},
        b"[1]",
        b"null",
        b'{"id": "g",}',
        b'{"id": "h", "vars": {"x": NaN}}',
        b'{"id": "i", "expected": 1e999}',
        b'{"id": "j\xff"}',
        b'{"id": "\\ud800"}',
        b"[" * 5000,
        {"id": "a"},
        {"id": "y" * 257},
    ]
    path = write(lines)
    path.write_bytes(path.read_bytes() + b'{"id": "z", "expe')
    valid = "(valid: id, vars, messages, expected, metadata, assert)"
    assert problems(path) == [
        "f.jsonl:2: 'id' must not be empty",
        "f.jsonl:3: 'id' must be text (got 3): put it in quotes",
        "f.jsonl:4: 'id' must hold no control or invisible character (got 'x\\x07y')",
        "f.jsonl:5: 'id' is required",
        f"f.jsonl:6: 'var' is not a known key; did you mean 'vars'? {valid}",
        "f.jsonl:7: 'vars' must be a mapping (got a list)",
        (
            "f.jsonl:8: 'messages[0].role' must be one of 'system', 'developer', 'user', 'assistant', 'tool' "
            "(got 'usr'; did you mean 'user'?)"
        ),
        "f.jsonl:8: 'messages[0].content' must be text or a list (got 3)",
        "f.jsonl:9: 'messages' must not be empty",
        "f.jsonl:10: 'assert[0]' must be a mapping (got 3)",
        "f.jsonl:11: must be one JSON object, {…} (got a list)",
        "f.jsonl:12: must be one JSON object, {…} (got null)",
        "f.jsonl:13: is not valid JSON: trailing comma (column 12)",
        "f.jsonl:14: holds a number that is not finite (NaN, Infinity or too large) (also on line 15)",
        "f.jsonl:16: is not UTF-8 text (byte 0xff in column 10)",
        "f.jsonl:17: is not valid JSON: unexpected end of hex escape (column 15)",
        "f.jsonl:18: is not valid JSON: recursion limit exceeded (column 202)",
        "f.jsonl:19: 'id' must be unique, but 'a' already stands at f.jsonl:1",
        "f.jsonl:20: 'id' must have at most 256 characters (got '" + "y" * 57 + "...')",
        "f.jsonl:21: is cut off: the file ends in the middle of a case",
    ]


@pytest.mark.parametrize("torn", [b'{"id": "a", "expe', b'{"id": "a", "vars":', b'{"id": "a"'])
def test_a_line_that_is_cut_off_in_the_middle_of_the_file(torn: bytes) -> None:
    """It is named as that, not as what its line break does to a parser."""
    assert problems(write([torn, {"id": "b"}])) == ["f.jsonl:1: is cut off: the line ends in the middle of a case"]


def test_one_mistake_on_many_lines_is_said_once() -> None:
    """A file in another format does not flood the terminal."""
    assert problems(write([{"prompt": "x"}] * 1000)) == [
        "f.jsonl:1: 'id' is required (also on lines 2-1000)",
        (
            "f.jsonl:1: 'prompt' is not a known key (valid: id, vars, messages, expected, metadata, assert) "
            "(also on lines 2-1000)"
        ),
    ]


def test_line_numbers_are_gathered_into_spans() -> None:
    """At most ten of them are written out."""
    assert spans([7]) == "line 7"
    assert spans([1, 3, 4, 5, 9]) == "lines 1, 3-5, 9"
    assert spans(list(range(1, 31, 2))) == "lines 1, 3, 5, 7, 9, 11, 13, 15, 17, 19 and 5 more"


def test_an_assertion_of_a_case_is_checked_on_its_line() -> None:
    """The same spec is checked once and blamed on every line that has it."""
    wrong = [{"type": "equals", "value": "x", "treshold": 1}]
    found = problems(write([case("a"), case("b", **{"assert": wrong}), case("c", **{"assert": wrong})]))
    assert found == [
        (
            "f.jsonl:2: 'assert[0].treshold' is not a known key (valid: type, transform, weight, metric, value) "
            "(also on line 3)"
        )
    ]


def test_a_missing_plugin_stops_the_check() -> None:
    """Without it nothing is known of the assertions."""
    with pytest.raises(PluginError):
        load_golden_sets([write([case("a")])], Suite(golden_sets=("x",), plugins=("no_such_module_here",)))


def test_a_set_must_be_there_and_hold_cases() -> None:
    """Everything missing is said at once, with what is there instead."""
    write([case("a")], "folder/cases.jsonl")
    write([b"", b"  "], "empty.jsonl")
    assert problems("nowhere", "folder", "empty.jsonl", "empty.jsonl") == [
        "nowhere: does not exist",
        "folder/prompts.jsonl: does not exist; name the file itself: cases.jsonl",
        "empty.jsonl: is named twice",
        "empty.jsonl: holds no case",
    ]
    assert problems() == ["no golden set is named"]


def test_an_id_is_unique_across_sets() -> None:
    """Both places are named."""
    assert problems(write([case("a")], "x.jsonl"), write([case("b"), case("a")], "y.jsonl")) == [
        "y.jsonl:2: 'id' must be unique, but 'a' already stands at x.jsonl:1"
    ]
