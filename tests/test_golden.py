"""Golden sets: what is read."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

from canary.digest import digest_of
from canary.golden import load_golden_sets
from canary.records import Prompt
from tests.golden_files import SUITE, case, describe, here, write

__all__ = ["here"]  # fixture

NO_MANIFEST = (
    "f.jsonl has no manifest.yaml beside it, which would pin its sha256, weigh its strata and say its source and "
    "licence; each stratum counts by its number of cases"
)


def test_a_case_becomes_a_prompt() -> None:
    """Every field arrives, and the digest covers everything but the id."""
    metadata = {"stratum": "math", "cluster": "doc-3", "language": "en"}
    content = {
        "vars": {"question": "12+30?"},
        "expected": "42",
        "metadata": metadata,
        "assert": [{"type": "equals", "value": "42", "metric": "exact"}],
    }
    golden = load_golden_sets([write([{"id": "math-17"} | content])], SUITE)
    assert golden.prompts == (
        Prompt(
            id="math-17",
            digest=digest_of(content),
            stratum="math",
            cluster="doc-3",
            vars={"question": "12+30?"},
            messages=None,
            expected="42",
            asserts=({"type": "equals", "value": "42", "metric": "exact"},),
            metadata=metadata,
        ),
    )
    assert golden.strata == {"math": 1.0}
    assert golden.warnings == (NO_MANIFEST,)


def test_messages_stand_in_place_of_vars() -> None:
    """Chat turns keep every key that chat APIs know, as written."""
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
        {"role": "tool", "content": "rain", "tool_call_id": "1"},
    ]
    (prompt,) = load_golden_sets([write([{"id": "a", "messages": messages}])], SUITE).prompts
    assert prompt.messages == tuple(messages)


def test_a_digest_is_of_the_content_alone() -> None:
    """The id, the order of keys and keys that say nothing do not change it; any other change does."""
    lines: list[dict[str, Any]] = [
        {"id": "a", "vars": {"x": 1, "y": 2}, "expected": "e"},
        {"expected": "e", "vars": {"y": 2, "x": 1}, "id": "b", "metadata": {}, "assert": [], "messages": None},
        {"id": "c", "vars": {"x": 1, "y": 2}, "expected": "f"},
        {"id": "d", "vars": {"x": 1, "y": 2}, "expected": "e", "metadata": {"language": "en"}},
        {"id": "e", "vars": {"x": 1, "y": 2}, "expected": ""},
        {"id": "f", "vars": {"x": 1, "y": 2}},
        {"id": "g", "vars": {"x": 1, "y": 2}, "expected": False},
        {"id": "h", "vars": {"x": 1, "y": 2}, "expected": 0},
    ]
    digests = [prompt.digest for prompt in load_golden_sets([write(lines)], SUITE).prompts]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 7


def test_blank_lines_byte_order_marks_and_windows_line_ends_are_no_matter() -> None:
    """Also a last line without its end."""
    Path("f.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "b"}\r\n\r\n   \n{"id": "a"}')
    assert [prompt.id for prompt in load_golden_sets(["f.jsonl"], SUITE).prompts] == ["a", "b"]


def test_a_long_line_is_read() -> None:
    """Documents of megabytes are asked too."""
    path = write([{"id": "a", "vars": {"d": "x" * 3_000_000}}])
    (prompt,) = load_golden_sets([path], SUITE).prompts
    assert len(prompt.vars["d"]) == 3_000_000


def test_the_order_of_lines_and_files_changes_nothing(here: Path) -> None:
    """Prompts are sorted by id."""
    cases = [case(f"c{i}", "ab"[i % 2]) for i in range(20)]
    first = load_golden_sets([write(cases[:12], "x.jsonl"), write(cases[12:], "y.jsonl")], SUITE)
    random.Random(1).shuffle(cases)
    second = load_golden_sets([write(cases[:5], "x.jsonl"), write(cases[5:], "y.jsonl")], SUITE)
    assert first.prompts == second.prompts
    assert first.strata == second.strata


def test_sources_say_what_was_read() -> None:
    """Digest, number of cases and what the manifest says of the file."""
    path = write([case("a"), case("b")], "sets/tickets/prompts.jsonl")
    describe("sets/tickets", licence="CC-BY-4.0", sensitivity="internal")
    golden = load_golden_sets(["sets/tickets"], SUITE)
    (source,) = golden.sources
    assert (source.name, source.path, source.cases) == ("tickets", "sets/tickets/prompts.jsonl", 2)
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (source.licence, source.sensitivity) == ("CC-BY-4.0", "internal")
    assert golden.warnings == ()
