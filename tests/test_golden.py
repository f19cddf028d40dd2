"""Golden sets: what is read, what is refused."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.errors import GoldenSetError, PluginError
from canary.golden import load_golden_sets
from canary.golden.lines import spans
from canary.pipeline import StrataRule, Suite
from canary.plan import digest_of
from canary.records import Prompt
from canary.scaffold import workspace

SUITE = Suite(golden_sets=("unused",))
NO_MANIFEST = (
    "f.jsonl has no manifest.yaml beside it, which would pin its sha256, weigh its strata and say its source and "
    "licence; each stratum counts by its number of cases"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that files have short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def case(id_: str, stratum: Any = None, **more: Any) -> dict[str, Any]:
    """A case that asks for its own id."""
    metadata = {} if stratum is None else {"metadata": {"stratum": stratum}}
    return {"id": id_, "vars": {"question": id_}} | metadata | more


def write(cases: Iterable[Mapping[str, Any] | bytes], path: str = "f.jsonl") -> Path:
    """A file with one case, or raw line, a line."""
    lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in cases]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"".join(line + b"\n" for line in lines))
    return Path(path)


def describe(folder: str, **manifest: Any) -> None:
    """A manifest beside `prompts.jsonl`, with the right digest unless told otherwise."""
    digest = hashlib.sha256(Path(folder, "prompts.jsonl").read_bytes()).hexdigest()
    Path(folder, "manifest.yaml").write_text(yaml.safe_dump({"sha256": digest} | manifest, sort_keys=False))


def problems(*paths: str | Path, suite: Suite = SUITE) -> list[str]:
    """What is wrong with these golden sets."""
    with pytest.raises(GoldenSetError) as caught:
        load_golden_sets(paths, suite)
    return list(caught.value.problems)


# --- what is read --------------------------------------------------------------------------------------------


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


# --- what is refused ------------------------------------------------------------------------------------------


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


# --- strata and clusters --------------------------------------------------------------------------------------


def test_cases_without_stratum_are_one_stratum() -> None:
    """It is called `default`, and each case is its own cluster."""
    golden = load_golden_sets([write([case("a"), case("b")])], SUITE)
    assert golden.strata == {"default": 1.0}
    assert [prompt.cluster for prompt in golden.prompts] == ["a", "b"]


def test_a_stratum_on_some_cases_only_is_a_mistake() -> None:
    """The lines that lack one are named, in whatever file."""
    first = write([case("a", "x"), case("b"), case("c"), case("d", "y")], "x.jsonl")
    second = write([case("e")], "y.jsonl")
    rule = "'metadata.stratum' is required, because other cases have one: give all of them one, or none"
    assert problems(first, second) == [f"x.jsonl:2: {rule} (also on line 3)", f"y.jsonl:1: {rule}"]


def test_a_stratum_is_a_name_and_never_all() -> None:
    """`all` is what the pooled signals are called."""
    lines = [
        case("a", "all"),
        case("b", 1.5),
        {"id": "c", "metadata": {"stratum": True}},
        case("d", ""),
        case("e", ["x"]),
        case("f", 7),
    ]
    assert problems(write(lines)) == [
        "f.jsonl:1: 'metadata.stratum' must not be 'all', which stands for all strata together",
        "f.jsonl:2: 'metadata.stratum' must be the name of a stratum (got 1.5)",
        "f.jsonl:3: 'metadata.stratum' must be the name of a stratum (got true)",
        "f.jsonl:4: 'metadata.stratum' must be the name of a stratum (got '')",
        "f.jsonl:5: 'metadata.stratum' must be the name of a stratum (got a list)",
    ]


def test_strata_that_look_alike_in_signals_are_a_mistake() -> None:
    """`a b` and `a-b` would both be `quality/a-b/…`."""
    assert problems(write([case("1", "a b"), case("2", "a-b"), case("3", "a.b")])) == [
        "strata 'a b' and 'a-b' are all 'a-b' in the names of signals: rename them"
    ]


def test_the_suite_says_where_stratum_and_cluster_stand() -> None:
    """Any path into `metadata` or `vars`; numbers are names too."""
    suite = Suite(golden_sets=("x",), strata=StrataRule(by="vars.task.kind"), cluster="metadata.doc")
    lines = [
        {"id": "a", "vars": {"n": 1, "task": {"kind": "math"}}, "metadata": {"doc": 7}},
        {"id": "b", "vars": {"n": 2, "task": {"kind": 3}}, "metadata": {"doc": "7"}},
    ]
    prompts = load_golden_sets([write(lines)], suite).prompts
    assert [(prompt.stratum, prompt.cluster) for prompt in prompts] == [("math", "7"), ("3", "7")]


def test_a_cluster_is_text_or_a_whole_number() -> None:
    """Anything else cannot be compared for equality."""
    lines = [case("a", metadata={"cluster": ["x"]}), case("b", metadata={"cluster": True})]
    assert problems(write(lines)) == [
        "f.jsonl:1: 'metadata.cluster' must be text or a whole number (got a list)",
        "f.jsonl:2: 'metadata.cluster' must be text or a whole number (got true)",
    ]


def test_identical_cases_are_one_cluster() -> None:
    """Copies are no independent evidence, and whatever shares a cluster with a copy joins it."""
    lines: list[dict[str, Any]] = [
        {"id": "a", "vars": {"q": "same"}, "metadata": {"cluster": "doc-2"}},
        {"id": "b", "vars": {"q": "same"}, "expected": "other"},
        {"id": "c", "vars": {"q": "also"}, "metadata": {"cluster": "doc-2"}},
        {"id": "d", "vars": {"q": "also"}, "metadata": {"cluster": "doc-1"}},
        {"id": "e", "vars": {"q": "alone"}},
    ]
    golden = load_golden_sets([write(lines)], SUITE)
    clusters = [prompt.cluster for prompt in golden.prompts]
    assert len(set(clusters[:4])) == 1
    assert clusters[4] == "e"
    assert golden.warnings[1] == (
        "4 cases ask what another case asks ('a' and 'b', say): they are not independent evidence, "
        "so identical cases count as one cluster"
    )


def test_cases_that_ask_nothing_are_not_identical() -> None:
    """For recorded outputs an id and the expected answer are enough."""
    golden = load_golden_sets([write([{"id": "a", "expected": "x"}, {"id": "b", "expected": "x"}])], SUITE)
    assert [prompt.cluster for prompt in golden.prompts] == ["a", "b"]


# --- manifest and weights -------------------------------------------------------------------------------------


def test_without_manifest_a_stratum_counts_by_its_cases() -> None:
    """Weights sum to one and are sorted by name."""
    golden = load_golden_sets([write([case("1", "b"), case("2", "a"), case("3", "a"), case("4", "a")])], SUITE)
    assert list(golden.strata.items()) == [("a", 0.75), ("b", 0.25)]
    assert golden.counts() == {"a": 3, "b": 1}


def test_the_manifest_weighs_strata() -> None:
    """Any positive numbers: they are scaled to sum to one."""
    write([case("1", "a"), case("2", "b"), case("3", "b")], "s/prompts.jsonl")
    describe("s", strata={"a": {"weight": 3}, "b": {"weight": 1, "description": "rare"}})
    assert load_golden_sets(["s"], SUITE).strata == {"a": 0.75, "b": 0.25}
    assert load_golden_sets(["s/prompts.jsonl"], SUITE).strata == {"a": 0.75, "b": 0.25}


def test_sets_together_count_by_their_cases() -> None:
    """Within its share a set's strata count as its own manifest says."""
    write([case("1", "a"), case("2", "b"), case("3", "b")], "s/prompts.jsonl")
    describe("s", strata={"a": {"weight": 9}, "b": {"weight": 1}})
    golden = load_golden_sets(["s", write([case("4", "b")])], SUITE)
    assert golden.strata == pytest.approx({"a": 0.75 * 0.9, "b": 0.75 * 0.1 + 0.25})


def test_a_changed_file_is_refused_with_both_digests() -> None:
    """The remedy is named: restore it, or own the change."""
    old = hashlib.sha256(b"another file").hexdigest()
    new = hashlib.sha256(write([case("a")], "s/prompts.jsonl").read_bytes()).hexdigest()
    describe("s", sha256=old)
    assert problems("s") == [
        (
            f"s/manifest.yaml:1: 'sha256' is {old}, but prompts.jsonl now has {new}: restore the file, or write the "
            "new digest here if its change is meant"
        )
    ]


def test_manifest_and_cases_must_name_the_same_strata() -> None:
    """On the manifest's lines, whichever side lacks one."""
    write([case("1", "a"), case("2", "b"), case("3", "b")], "s/prompts.jsonl")
    describe("s", strata={"a": {"weight": 1}, "c": {"weight": 1}})
    assert problems("s") == [
        "s/manifest.yaml:5: 'strata.c' is a stratum that no case has as its 'metadata.stratum'",
        "s/manifest.yaml:2: 'strata' lacks 'b', which 2 cases have as their 'metadata.stratum'",
    ]


def test_reports_every_mistake_of_a_manifest_with_its_line() -> None:
    """Weights are positive numbers, and keys are spelled as ours."""
    write([case("1", "a")], "s/prompts.jsonl")
    Path("s/manifest.yaml").write_text(
        "sha256: 12\nlicense: MIT\nstrata:\n  a: {weight: 0}\n  b: {weight: '1'}\n  c: {}\n"
    )
    valid = "name, description, version, sha256, licence, source, language, sensitivity, strata"
    assert problems("s") == [
        "s/manifest.yaml:1: 'sha256' must be text (got 12): put it in quotes",
        f"s/manifest.yaml:2: 'license' is not a known key; did you mean 'licence'? (valid: {valid})",
        "s/manifest.yaml:4: 'strata.a.weight' must be a number greater than 0 (got 0)",
        "s/manifest.yaml:5: 'strata.b.weight' must be a number (got '1')",
        "s/manifest.yaml:6: 'strata.c.weight' is required",
    ]


def test_a_manifest_that_is_empty_or_a_folder_is_a_mistake(here: Path) -> None:
    """It is never taken for no manifest."""
    write([case("1", "a")], "s/prompts.jsonl")
    (here / "s/manifest.yaml").write_text("")
    assert problems("s") == ["s/manifest.yaml: is empty"]
    (here / "s/manifest.yaml").unlink()
    (here / "s/manifest.yaml").mkdir()
    assert problems("s") == ["s/manifest.yaml: is a folder, not a file"]


@pytest.mark.parametrize("path", sorted((workspace() / "golden_sets").iterdir()), ids=lambda path: str(path.name))
def test_every_shipped_set_loads_without_warning(path: Path) -> None:
    """Its manifest is right to the byte; `judged` is what a judge reads in a minute, the others gate each stratum."""
    golden = load_golden_sets([path], SUITE)
    assert golden.warnings == ()
    assert all(count >= (40 if path.name == "judged" else 100) for count in golden.counts().values())
