"""Every type that people know from elsewhere: passes, fails, and what is no configuration.

Examples marked `promptfoo` are those of its documentation, with its results.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest

from canary.assertions import parse
from canary.errors import ConfigError
from canary.protocols import Grade, Tools

Give = Callable[..., Grade]
Spec = dict[str, Any]

COORDINATES = {
    "required": ["latitude", "longitude"],
    "type": "object",
    "properties": {
        "latitude": {"minimum": -90, "type": "number", "maximum": 90},
        "longitude": {"minimum": -180, "type": "number", "maximum": 180},
    },
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
COLOUR = {"requiredElements": ["analysis.classification", "analysis.color"]}
DEEP = {"requiredElements": ["root.parent.child.grandchild"]}
IBM = {"name": "IBM", "aliases": ["Big Blue"]}
TABLES = {"databaseType": "MySQL", "allowedTables": ["(select|update|insert|delete)::null::departments"]}
COLUMNS = {"databaseType": "MySQL", "allowedColumns": ["select::null::name", "update::null::id"]}


def call(*names: str, arguments: Any = None) -> str:
    """What an OpenAI chat model writes when it calls tools."""
    said = json.dumps({} if arguments is None else arguments)
    return json.dumps([{"type": "function", "function": {"name": name, "arguments": said}} for name in names])


ORDERS: Spec = {
    "type": "trajectory:tool-args-match",
    "value": {"name": "orders", "mode": "exact", "args": {"status": "Q"}, "defaults": {"page": 1, "page_size": 5}},
}

ANSWERS: list[tuple[Spec, str, bool]] = [
    # text
    ({"type": "icontains-any", "value": ["Hallo", "WORLD"]}, "hello world", True),
    ({"type": "icontains-any", "value": ["x", "y"]}, "hello world", False),
    ({"type": "icontains-all", "value": ["HELLO", "world"]}, "Hello World", True),
    ({"type": "icontains-all", "value": ["HELLO", "moon"]}, "Hello World", False),
    ({"type": "contains-all", "value": ["1,000", "in stock"]}, "1,000 in stock", True),  # promptfoo
    ({"type": "contains", "value": 0}, "10", True),  # promptfoo
    ({"type": "regex", "value": "\\d{4}"}, "in 2024", True),  # promptfoo
    ({"type": "regex", "value": "\\d{4}"}, "in 24", False),
    # documents
    ({"type": "contains-json"}, 'here: {"a": [1]} done', True),
    ({"type": "contains-json"}, "here: {a: 1} done", False),
    ({"type": "contains-json"}, "42 is a number", False),
    ({"type": "contains-json", "value": COORDINATES}, 'at {"latitude": 1, "longitude": 2}.', True),  # promptfoo
    ({"type": "contains-json", "value": COORDINATES}, 'at {"latitude": 91, "longitude": 2}.', False),
    ({"type": "contains-json", "value": COORDINATES}, '{"x": 1} or {"latitude": 1, "longitude": 2}', True),
    ({"type": "is-xml"}, "<root><child>Content</child></root>", True),  # promptfoo
    ({"type": "is-xml"}, "<root><child>Content</child></root", False),  # promptfoo
    ({"type": "is-xml"}, "Text <root/>", False),
    ({"type": "is-xml", "value": COLOUR}, "<analysis><classification>T</classification><color/></analysis>", True),
    ({"type": "is-xml", "value": COLOUR}, "<analysis><classification>T-shirt</classification></analysis>", False),
    (
        {"type": "is-xml", "value": DEEP},
        "<root><parent><child><grandchild>C</grandchild></child></parent></root>",
        True,
    ),  # promptfoo
    ({"type": "is-xml", "value": DEEP}, "<root><parent><child></child></parent></root>", False),  # promptfoo
    ({"type": "is-xml"}, '<!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>', False),  # promptfoo: no internal subset
    ({"type": "contains-xml"}, "Sure, here: <root><child>Content</child></root> any other questions?", True),
    ({"type": "contains-xml", "value": {"requiredElements": ["root.child"]}}, "T <root><child/></root>", True),
    ({"type": "contains-xml", "value": {"requiredElements": ["root.child"]}}, "T <w><root><child/></root></w>", False),
    ({"type": "contains-xml"}, "a < b and c > d", False),
    # markup: promptfoo's lists
    ({"type": "is-html"}, "<!DOCTYPE html><html><body><p>x</body></html>", True),
    ({"type": "is-html"}, "<div>Content</div>", True),
    ({"type": "is-html"}, "<h1>Title</h1><p>Paragraph</p>", True),
    ({"type": "is-html"}, '<img src="test.jpg" />', True),
    ({"type": "is-html"}, "Just text", False),
    ({"type": "is-html"}, "Text before <div>HTML</div> text after", False),
    ({"type": "is-html"}, '<?xml version="1.0"?><root>...</root>', False),
    ({"type": "is-html"}, "<div>Unclosed div", False),
    ({"type": "is-html"}, "Here is some HTML: <div>test</div>", False),
    ({"type": "contains-html"}, "Look: <div>x</div>", True),
    ({"type": "contains-html"}, "a < b, mail me@x.org", False),
    ({"type": "contains-html"}, "an <example> only", False),
    # SQL
    ({"type": "is-sql"}, "SELECT id, name FROM users WHERE id = 1", True),
    ({"type": "is-sql"}, "SELECT * FRM users", False),
    ({"type": "is-sql"}, "", False),
    ({"type": "is-sql"}, "hello world", False),
    ({"type": "is-sql"}, "SELECT", False),
    ({"type": "is-sql", "value": TABLES}, "SELECT * FROM departments", True),  # promptfoo
    ({"type": "is-sql", "value": TABLES}, "SELECT * FROM salaries", False),
    ({"type": "is-sql", "value": TABLES}, "DELETE FROM departments WHERE id = 1", True),
    ({"type": "is-sql", "value": COLUMNS}, "SELECT name FROM t", True),  # promptfoo
    ({"type": "is-sql", "value": COLUMNS}, "SELECT salary FROM t", False),
    ({"type": "is-sql", "value": COLUMNS}, "SELECT * FROM t", False),  # promptfoo: needs `.*`
    ({"type": "contains-sql"}, "Try:\n```sql\nSELECT `id` FROM `users`;\n```\nGood luck", True),  # promptfoo
    ({"type": "contains-sql"}, "Try:\n```\nfoo bar baz qux\n```", False),
    # tool calls
    ({"type": "is-valid-openai-tools-call", "value": [WEATHER]}, call("get_weather", arguments={"city": "Rome"}), True),
    ({"type": "is-valid-openai-tools-call", "value": [WEATHER]}, call("get_weather", arguments={"city": 1}), False),
    ({"type": "is-valid-openai-tools-call", "value": [WEATHER]}, call("get_time", arguments={}), False),
    ({"type": "is-valid-openai-tools-call", "value": [WEATHER]}, "no call at all", False),
    ({"type": "is-valid-function-call", "value": [WEATHER]}, '{"name": "get_weather", "arguments": "{}"}', False),
    ({"type": "is-valid-openai-function-call", "value": [WEATHER]}, call("get_weather", "get_weather"), False),
    ({"type": "tool-call-f1", "value": ["get_weather", "book_flight"]}, call("get_weather", "book_flight"), True),
    ({"type": "tool-call-f1", "value": "get_weather, book_flight"}, call("book_flight", "get_weather"), True),
    ({"type": "tool-call-f1", "value": ["get_weather", "book_flight"]}, call("get_weather"), False),
    ({"type": "trajectory:tool-used", "value": "search_orders"}, call("search_orders"), True),
    ({"type": "trajectory:tool-used", "value": ["a", "b"]}, call("a"), False),
    ({"type": "trajectory:tool-used", "value": {"pattern": "search*", "min": 2, "max": 3}}, call("search_a"), False),
    ({"type": "trajectory:tool-used", "value": {"pattern": "search*", "min": 2}}, call("search_a", "search_b"), True),
    ({"type": "trajectory:tool-sequence", "value": ["a", "c"]}, call("a", "b", "c"), True),
    ({"type": "trajectory:tool-sequence", "value": ["c", "a"]}, call("a", "b", "c"), False),
    ({"type": "trajectory:tool-sequence", "value": {"steps": ["a", "c"], "mode": "exact"}}, call("a", "b", "c"), False),
    (ORDERS, call("orders", arguments={"status": "Q"}), True),  # promptfoo's table, from here
    (ORDERS, call("orders", arguments={"status": "Q", "page": 1}), True),
    (ORDERS, call("orders", arguments={"status": "Q", "page": 1, "page_size": 5}), True),
    (ORDERS, call("orders", arguments={"status": "Q", "page": 2}), False),
    (ORDERS, call("orders", arguments={"status": "Q", "delete_database": True}), False),
    # overlap
    ({"type": "levenshtein", "value": "kitten", "threshold": 3}, "sitting", True),
    ({"type": "levenshtein", "value": "kitten", "threshold": 2}, "sitting", False),
    ({"type": "rouge-n", "value": "the cat sat on the mat"}, "the cat sat on the mat", True),
    ({"type": "rouge-n", "value": "the cat sat on the mat"}, "a dog ran", False),
    ({"type": "bleu", "value": "the cat sat on the mat"}, "The cat sat on the mat", True),
    ({"type": "bleu", "value": "the cat sat on the mat"}, "mat", False),
    ({"type": "gleu", "value": ["no", "the cat sat on the mat"]}, "the cat sat on a mat", True),
    ({"type": "gleu", "value": "the cat sat"}, "dogs run", False),
    ({"type": "meteor", "value": "the cats sat on the mat"}, "the cat sat on the mat", True),
    ({"type": "meteor", "value": "the cats sat"}, "dogs run", False),
    # screens
    ({"type": "contains-entity", "value": ["New York", IBM]}, "new  york, big blue", True),
    ({"type": "contains-entity", "value": "IBM"}, "IBMs", False),
    ({"type": "forbidden-phrases", "value": ["as an AI"]}, "As an AI, I", False),
    ({"type": "forbidden-phrases", "value": ["as an AI"]}, "as an aide", True),
    ({"type": "not-contains-pii"}, "write to ann@example.org", False),
    ({"type": "not-contains-pii"}, "call +1 415 555 0132", False),
    ({"type": "contains-pii", "value": ["credit-card"]}, "4111 1111 1111 1111", True),
    ({"type": "contains-pii", "value": ["credit-card"]}, "4111 1111 1111 1112", False),
    ({"type": "contains-pii", "value": ["iban"]}, "DE89 3704 0044 0532 0130 00", True),
    ({"type": "contains-pii", "value": ["iban"]}, "DE89 3704 0044 0532 0130 01", False),
    ({"type": "contains-pii", "value": ["ssn"]}, "078-05-1120", True),
    ({"type": "contains-pii", "value": ["ip-address"]}, "at 192.168.0.1, port", True),
    ({"type": "contains-pii"}, "order 12345 of 3 March 2024", False),
    # any type
    ({"type": "equals", "value": "YES", "transform": "{{ output | trim | upper }}"}, " yes\n", True),
    ({"type": "equals", "value": "b", "transform": "{{ (output | fromjson).a }}"}, '{"a": "b"}', True),
    ({"type": "assert-set", "assert": [{"type": "contains", "value": v} for v in "ab"]}, "a", False),
    (
        {"type": "assert-set", "threshold": 0.5, "assert": [{"type": "contains", "value": v} for v in "ab"]},
        "a",
        True,
    ),
    (
        {
            "type": "assert-set",
            "threshold": 0.5,
            "assert": [{"type": "contains", "value": "a"}, {"type": "contains", "value": "b", "weight": 2}],
        },
        "a",
        False,
    ),
    ({"type": "not-assert-set", "assert": [{"type": "contains", "value": "a"}]}, "b", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "output", "passed"), ANSWERS, ids=[f"{s['type']}-{n}" for n, (s, *_) in enumerate(ANSWERS)]
)
def test_answers(grade: Give, spec: Spec, output: str, passed: bool) -> None:  # noqa: FBT001 - a table's column
    """Each passes and fails as promised, with a reason, and `not-` turns it round."""
    given = grade(spec, output)
    assert given.passed is passed, given.reason
    assert given.reason
    kind = spec["type"]
    opposite = kind.removeprefix("not-") if kind.startswith("not-") else f"not-{kind}"
    assert grade(spec | {"type": opposite}, output).passed is not passed


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        (["get_weather", "book_flight"], 1.0),
        (["get_weather"], 2 / 3),
        (["get_weather", "book_flight", "search"], 0.8),
        ([], 0),
    ],
)
def test_tool_call_f1(grade: Give, called: list[str], expected: float) -> None:
    """The scores of promptfoo's table; names are a set."""
    given = grade({"type": "tool-call-f1", "value": ["get_weather", "book_flight"]}, call(*called, *called))
    assert given.value == pytest.approx(expected)


@pytest.mark.parametrize(
    "output",
    [
        '{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}',
        '{"type": "tool_use", "name": "get_weather", "input": {"city": "Rome"}}',
        '{"functionCall": {"name": "get_weather", "args": {"city": "Rome"}}}',
        '{"role": "assistant", "tool_calls": [{"function": {"name": "get_weather", "arguments": "{}"}}]}',
        'I will look:\n{"name": "get_weather", "arguments": {}}\nOne moment.',
    ],
)
def test_call_formats(grade: Give, output: str) -> None:
    """OpenAI's two formats, Anthropic's, Google's, and a call on a line of its own."""
    assert grade({"type": "tool-call-f1", "value": ["get_weather"]}, output).passed is True


@pytest.mark.parametrize(
    ("spec", "fields", "passed"),
    [
        ({"type": "finish-reason", "value": "stop"}, {"finish_reason": "END_TURN"}, True),
        ({"type": "finish-reason", "value": "stop"}, {"finish_reason": "length"}, False),
        ({"type": "finish-reason", "value": "stop"}, {}, None),
        ({"type": "latency", "threshold": 500}, {"total_s": 0.5}, True),
        ({"type": "latency", "threshold": 500}, {"total_s": 0.6}, False),
        ({"type": "latency", "threshold": 500}, {}, None),
        ({"type": "cost", "threshold": 0.001}, {"cost_usd": 0.001}, True),
        ({"type": "cost", "threshold": 0.001}, {"cost_usd": 0.002}, False),
        ({"type": "cost", "threshold": 0.001}, {}, None),
        ({"type": "perplexity", "threshold": 2}, {"logprobs": (-0.5, -0.5)}, True),
        ({"type": "perplexity", "threshold": 2}, {"logprobs": (-1.0,)}, False),
        ({"type": "perplexity", "threshold": 2}, {}, None),
        ({"type": "perplexity-score", "threshold": 0.4}, {"logprobs": (0.0,)}, True),
        ({"type": "perplexity-score"}, {}, None),
    ],
)
def test_measured(case: Any, answer: Any, spec: Spec, fields: Spec, passed: Any) -> None:
    """What came with the answer; what did not is an abstention."""
    assertion = parse(spec)
    assert (
        assertion([(case(), answer("x", **fields))], Tools(embed=lambda: pytest.fail("no embedder")))[0].passed
        is passed
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "icontains-any", "value": "a,b"}, "'assert.value' must be a list of texts"),
        ({"type": "is-xml", "value": {"requiredElements": []}}, "'assert.value.requiredElements' "),
        ({"type": "is-sql", "value": {"databaseType": "dbase"}}, "must be one of athena"),
        ({"type": "is-sql", "value": {"allowedTables": ["("]}}, "must be a regular expression"),
        ({"type": "is-valid-openai-tools-call", "value": [{"name": 1}]}, "must be tools, each with"),
        ({"type": "trajectory:tool-args-match", "value": {"args": {}}}, "must have a name or a pattern"),
        ({"type": "levenshtein", "value": "a", "threshold": 0.5}, "'assert.threshold' must be a whole number"),
        ({"type": "rouge-n", "value": "a", "threshold": 2}, "'assert.threshold' must be at most 1"),
        ({"type": "latency"}, "'assert.threshold' is required"),
        ({"type": "contains-pii", "value": ["name"]}, "must be 'email'"),
        ({"type": "contains-entity", "value": []}, "must name at least one entity"),
        ({"type": "assert-set", "assert": []}, "'assert.assert'"),
        ({"type": "assert-set", "assert": [{"type": "contains"}]}, r"'assert\.assert\[0\]\.value' is required"),
        ({"type": "assert-set", "assert": [{"type": "is-json", "weight": 0}]}, "must have a member whose"),
        ({"type": "assert-set", "assert": [{"type": "llm-rubric", "value": "x"}]}, "must not ask a judge"),
        ({"type": "is-json", "weight": 2}, "must be 0 or 1 outside of an assert-set"),
        ({"type": "is-json", "weight": -1}, "must be a number >= 0"),
        ({"type": "is-json", "transform": "output.trim()"}, "must be a template over 'output'"),
        ({"type": "is-json", "transform": 1}, "'assert.transform' must be text"),
        ({"type": "ifeval:length_constraints:number_words", "num_words": 1, "relation": "more"}, "'assert.relation'"),
        ({"type": "ifeval:keywords:existence", "keywords": ["("]}, "must be a regular expression"),
        ({"type": "ifeval:punctuation:no_commas"}, "did you mean 'ifeval:punctuation:no_comma'"),
    ],
)  # fmt: skip
def test_bad_configuration(spec: Spec, message: str) -> None:
    """One sentence that names the key and what it must be."""
    with pytest.raises(ConfigError, match=message):
        parse(spec)


HOSTILE = {
    "angles": "<" * 500_000,
    "comments": "<!--" * 100_000,
    "openings": "<a><" * 100_000,
    "braces": '{"a":[' * 100_000,
    "at signs": "a@" * 200_000,
    "digits": "4 " * 300_000,
    "stops": ". " * 300_000,
    "stars": "*" * 500_000,
    "letters": "a" * 5_000_000,
}
SEARCHES: list[Spec] = [
    {"type": "contains-json"},
    {"type": "is-xml"},
    {"type": "contains-xml"},
    {"type": "is-html"},
    {"type": "contains-html"},
    {"type": "contains-pii"},
    {"type": "contains-entity", "value": "New York"},
    {"type": "tool-call-f1", "value": ["a"]},
    {"type": "ifeval:length_constraints:number_sentences", "num_sentences": 3, "relation": "at least"},
    {"type": "ifeval:detectable_format:number_highlighted_sections", "num_highlights": 3},
]


@pytest.mark.slow
@pytest.mark.parametrize("spec", SEARCHES, ids=[spec["type"] for spec in SEARCHES])
def test_hostile_outputs_take_bounded_time(grade: Give, spec: Spec) -> None:
    """Megabytes that make a search backtrack or restart without end give a grade or an abstention soon."""
    for name, output in HOSTILE.items():
        start = process_time()
        given = grade(spec, output)
        assert process_time() - start < 9, name
        assert given.reason.isprintable()


@pytest.mark.parametrize("kind", ["is-sql", "rouge-n", "levenshtein", "ifeval:language:response_language"])
def test_a_missing_library_is_told_at_load_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a failed answer: the command that installs it."""
    from canary.assertions import library
    from canary.errors import MissingExtra

    monkeypatch.setattr(library, "find_spec", lambda name: None)
    keys = {"ifeval:language:response_language": {"language": "en"}, "is-sql": {}}.get(kind, {"value": "x"})
    with pytest.raises(MissingExtra, match=r"pip install 'canary-gate\[assertions\]'"):
        parse({"type": kind, **keys})
