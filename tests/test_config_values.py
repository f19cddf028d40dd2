"""Reading what users write: files that are no configuration at all, and values."""

from __future__ import annotations

from pathlib import Path

import pytest

from canary.config import load_pipeline, load_policy, load_suite
from canary.errors import ConfigError
from canary.validation import shown
from tests.config_files import POLICY_KEYS, here, problems

__all__ = ["here"]  # fixture

# --- files that are no configuration at all ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "f.yaml: is empty"),
        (b" \n\n", "f.yaml: is empty"),
        (b"# only a comment\n", "f.yaml: is empty"),
        (b"- a\n- b\n", "f.yaml:1: must hold keys and values at its top level (got a list)"),
        (b"just text", "f.yaml:1: must hold keys and values at its top level (got 'just text')"),
        (b"golden_sets: [a\n", "f.yaml:2: is not valid YAML: expected ',' or ']', but got '<stream end>'"),
        (b"a: 1\n\tb: 2\n", "f.yaml:2: is not valid YAML: found character '\\t' that cannot start any token"),
        (b"a: 1\n---\nb: 2\n", "f.yaml:2: is not valid YAML: but found another document"),
        (b"a: 1\nb: \x01\n", "f.yaml:2: is not valid YAML: special characters are not allowed"),
        (b"a: 1\nb: \xff\n", "f.yaml: is not UTF-8 text (byte 0xff on line 2)"),
        (b"[" * 5000, "f.yaml:1: is nested deeper than 100 levels"),
        (b"a: &a [*a]", "f.yaml:1: is nested deeper than 100 levels"),
        (b"a: &a {<<: *a}", "f.yaml:1: is nested deeper than 100 levels"),
        (b"x: " + b"y" * (1 << 20), "f.yaml: is larger than 1 MiB"),
    ],
)
def test_a_file_that_is_no_configuration_is_one_problem(data: bytes, said: str) -> None:
    """Whatever the bytes are, the answer is one sentence."""
    assert problems(load_suite, data) == [said]


def test_aliases_cannot_grow_a_small_file_into_a_large_one() -> None:
    """Each use of an alias counts (the "billion laughs")."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert problems(load_suite, "\n".join(lines)) == [
        "f.yaml:1: holds more than 100,000 values, aliases counted each time they are used"
    ]


def test_a_missing_file_and_a_folder_are_said_to_be_so(here: Path) -> None:
    """No traceback for a path that cannot be read."""
    (here / "folder").mkdir()
    for load in (load_suite, load_pipeline):
        with pytest.raises(ConfigError, match=r"^nowhere\.yaml: does not exist$"):
            load("nowhere.yaml")
        with pytest.raises(ConfigError, match=r"^folder: is a folder, not a file$"):
            load(here / "folder")


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}\n"])
def test_a_policy_that_is_named_but_empty_is_a_mistake(text: str) -> None:
    """An empty file is never taken for the defaults."""
    assert problems(load_policy, text) == ["f.yaml: is empty; delete the option to use the defaults"]


def test_a_policy_that_is_named_but_missing_is_a_mistake() -> None:
    """A missing file is never taken for the defaults."""
    with pytest.raises(ConfigError, match=r"^p\.yaml: does not exist; delete the option to use the defaults$"):
        load_policy("p.yaml")


# --- values ---------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter() -> None:
    """Files from Windows editors are read as they look."""
    Path("p.yaml").write_bytes(b"\xef\xbb\xbfversion: 1\r\nalpha:\r\n  rollback: 0.01\r\n")
    assert load_policy("p.yaml").alpha.rollback == 0.01


def test_numbers_may_be_whole_where_fractions_are_asked_for() -> None:
    """`max_ratio: 2` is the number two."""
    Path("p.yaml").write_text("cost: {per_request: {max_ratio: 2}}")
    assert load_policy("p.yaml").cost.per_request.max_ratio == 2.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("? [a, b]\n: 1\n", "f.yaml:1: a key must be text"),
        ("a: {<<: 3}\n", "f.yaml:1: '<<' must name a mapping, or a list of mappings"),
        ("a: !!python/name:os.system x\n", "f.yaml:1: 'a' has a tag that is not supported: !!python/name:os.system"),
        ("a: !!int x\n", "f.yaml:1: 'a' holds what its tag or its escapes cannot mean"),
        ('a: "\\ud800"\n', "f.yaml:1: 'a' holds what its tag or its escapes cannot mean"),
    ],
)
def test_yaml_that_means_no_plain_value_is_a_mistake(text: str, said: str) -> None:
    """Python objects, half characters and keys that are no text are refused."""
    assert problems(load_policy, text)[0] == said


def test_values_are_shown_short_and_printable() -> None:
    """Terminal escapes and long texts cannot flood or style a message."""
    (found,) = problems(load_policy, 'cost: {per_request: {tier: "\\e[31m%s"}}' % ("x" * 200))
    assert found == (
        "f.yaml:1: 'cost.per_request.tier' must be one of 'blocking', 'advisory' (got '\\x1b[31m" + "x" * 52 + "...')"
    )
    (key,) = problems(load_policy, '"\\e[31m\\u202ex": 1')
    assert key == f"f.yaml:1: '\\x1b[31m\\u202ex' is not a known key (valid: {POLICY_KEYS})"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), ({}, "a mapping"), ([], "a list"), (float("-inf"), "-.inf"), (1.5, "1.5")],
)
def test_values_are_shown_as_they_are_written(value: object, text: str) -> None:
    """In the words of YAML, not of Python."""
    assert shown(value) == text
