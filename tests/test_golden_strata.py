"""Golden sets: strata, clusters, manifests and weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from canary.golden import load_golden_sets
from canary.pipeline import StrataRule, Suite
from canary.scaffold import workspace
from tests.golden_files import SUITE, case, describe, here, problems, write

__all__ = ["here"]  # fixture

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
