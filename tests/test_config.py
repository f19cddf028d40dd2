"""Reading what users write: every mistake at once, on its line, in plain words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.assertions import ASSERTIONS
from canary.config import load_pipeline, load_policy, load_suite
from canary.errors import ConfigError
from canary.expression import All_, Any_, Not_
from canary.pipeline import RayRunner
from canary.release import OpenAIRelease, ReplayRelease, TransformersRelease, Turn
from canary.validation import shown

POLICY_KEYS = (
    "version, alpha, quality, latency, errors, cost, cache, goodput, saturation, guardrail, drift, traffic, promotion, "
    "composites, false_alarm_rates, runbooks"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that files have short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(load: Callable[[Path], Any], text: str | bytes, name: str = "f.yaml") -> list[str]:
    """What is wrong with a file of this text."""
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(path)
    return list(caught.value.problems)


# --- every mistake of a file at once -------------------------------------------------------------------------


def test_reports_every_mistake_of_a_policy_with_its_line() -> None:
    """Wrong types, ranges, choices, unknown and repeated keys come together, in the order of lines."""
    text = """\
version: 2
alpha:
  rollback: "0.1"
  promote: .inf
quality:
  max_dropp: 1
  stratum: {max_drop: -0.1, optional: [1]}
  metrics:
    tone: {tier: bloking}
    fact: 3
  metrics: {}
latency: [ttft]
latncy: {}
cost: {per_request: {max_ratio: on}}
"""
    assert problems(load_policy, text) == [
        "f.yaml:1: 'version' must be 1 (got 2)",
        "f.yaml:3: 'alpha.rollback' must be a number (got '0.1')",
        "f.yaml:4: 'alpha.promote' must be a finite number (got .inf)",
        (
            "f.yaml:6: 'quality.max_dropp' is not a known key; did you mean 'max_drop'? "
            "(valid: max_drop, stratum, critical, metrics)"
        ),
        "f.yaml:7: 'quality.stratum.max_drop' must be at least 1e-06 (got -0.1)",
        "f.yaml:7: 'quality.stratum.optional[0]' must be text (got 1): put it in quotes",
        (
            "f.yaml:9: 'quality.metrics.tone.tier' must be one of 'blocking', 'advisory' "
            "(got 'bloking'; did you mean 'blocking'?)"
        ),
        "f.yaml:10: 'quality.metrics.fact' must be a mapping (got 3)",
        "f.yaml:11: 'quality.metrics' is written twice (first on line 8)",
        "f.yaml:12: 'latency' must be a mapping (got a list)",
        f"f.yaml:13: 'latncy' is not a known key; did you mean 'latency'? (valid: {POLICY_KEYS})",
        "f.yaml:14: 'cost.per_request.max_ratio' must be a number (got 'on')",
    ]


def test_only_means_have_a_floor() -> None:
    """One that a median would not heed is not taken for one that it does."""
    text = "latency: {ttft: {tm95: {floor_s: 0.1}, p50: {max_ratio: 1.2, floor_s: 0.1}}}\n"
    assert problems(load_policy, text) == ["f.yaml:1: 'latency.ttft.p50.floor_s' must be at most 0 (got 0.1)"]


def test_reports_every_mistake_of_a_pipeline_with_its_line() -> None:
    """Unknown engines and runners list the valid ones, and a missing key stands on its owner's line."""
    text = """\
policy: 5
baseline: {name: a, engine: opennai}
candidate: {}
runner: rayy
concurrency: 1.5
warmup: -1
reporters: terminal
stages: {staging: {cases: 2000000}}
"""
    assert problems(load_pipeline, text) == [
        "f.yaml:1: 'suite' is required",
        "f.yaml:1: 'policy' must be text (got 5): put it in quotes",
        (
            "f.yaml:2: 'baseline.engine' must be one of 'replay', 'transformers', 'openai', 'vllm' "
            "(got 'opennai'; did you mean 'openai'?)"
        ),
        "f.yaml:3: 'candidate.engine' is required: one of 'replay', 'transformers', 'openai', 'vllm'",
        "f.yaml:4: 'runner.type' must be one of 'local', 'ray' (got 'rayy'; did you mean 'ray'?)",
        "f.yaml:5: 'concurrency' must be a whole number (got 1.5)",
        "f.yaml:6: 'warmup' must be at least 0 (got -1)",
        "f.yaml:7: 'reporters' must be a list (got 'terminal')",
        "f.yaml:8: 'stages.staging.cases' must be at most 1000000 (got 2000000)",
    ]


def test_blames_only_the_engine_that_was_chosen() -> None:
    """A release is measured against its own engine's keys, inside its prompt as well."""
    text = """\
suite: s.yaml
baseline:
  engine: openai
  name: ""
  model: 3
  prompt:
  - {role: robot, content: hello, tone: warm}
  timeout_s: .nan
  extra_body: {seed: .nan}
  base_url: ftp://x
candidate: {engine: replay, model: x, prompt: 4}
"""
    Path("s.yaml").write_text("golden_sets: [x]")
    assert problems(load_pipeline, text) == [
        "f.yaml:4: 'baseline.name' must not be empty",
        "f.yaml:5: 'baseline.model' must be text (got 3): put it in quotes",
        "f.yaml:7: 'baseline.prompt[0].role' must be one of 'system', 'developer', 'user', 'assistant' (got 'robot')",
        "f.yaml:7: 'baseline.prompt[0].tone' is not a known key (valid: role, content)",
        "f.yaml:8: 'baseline.timeout_s' must be a finite number (got .nan)",
        "f.yaml:9: 'baseline.extra_body.seed' must be a finite number (got .nan)",
        "f.yaml:10: 'base_url' must start with http:// or https:// and name a host",
        "f.yaml:11: 'candidate.name' is required",
        "f.yaml:11: 'candidate.responses' is required",
        "f.yaml:11: 'candidate.model' is not a known key (valid: engine, name, responses)",
        "f.yaml:11: 'candidate.prompt' is not a known key (valid: engine, name, responses)",
    ]


def test_a_key_that_belongs_deeper_is_shown_its_place() -> None:
    """The commonest mistake of indentation."""
    release = "{name: a, engine: transformers, model: m, temperature: 0}"
    Path("s.yaml").write_text("golden_sets: [x]")
    (found,) = problems(load_pipeline, f"suite: s.yaml\nbaseline: {release}\ncandidate: {release}\n")[:1]
    assert found.startswith("f.yaml:2: 'baseline.temperature' is not a known key; did you mean 'sampling.temperature'?")
    assert problems(load_policy, "threshold_s: 2\nall: [x]\n") == [
        (
            f"f.yaml:1: 'threshold_s' is not a known key; did you mean 'latency.ttft.slow.threshold_s'? "
            f"(valid: {POLICY_KEYS})"
        ),
        f"f.yaml:2: 'all' is not a known key (valid: {POLICY_KEYS})",
    ]


def test_a_prompt_is_text_or_turns() -> None:
    """Anything else as a prompt is told both."""
    release = "{name: a, engine: transformers, model: m, prompt: %s}"
    text = f"suite: s.yaml\nbaseline: {release % '3'}\ncandidate: {release % '[]'}\n"
    Path("s.yaml").write_text("golden_sets: [x]")
    assert problems(load_pipeline, text) == [
        "f.yaml:2: 'baseline.prompt' must be text or a list of chat turns (got 3)",
        "f.yaml:3: 'candidate.prompt' must not be empty",
    ]


def test_reports_every_mistake_of_a_suite_and_its_assertions() -> None:
    """Assertions are checked with the rest of the file, each on its own line."""
    text = """\
golden_sets: []
strata: {by: stratum}
repeat: 0
assert:
- {type: equal, value: x}
- type: contains
  value: x
  threshold: 0.5
- 7
asserts: []
"""
    known = [kind for kind in ASSERTIONS if not kind.startswith("ifeval:")]
    kinds = ", ".join([*known, "assert-set", "ifeval:<group>:<name>"])
    assert problems(load_suite, text) == [
        "f.yaml:1: 'golden_sets' must not be empty",
        "f.yaml:2: 'strata.by' must be a path into a case, like 'metadata.stratum' or 'vars.topic' (got 'stratum')",
        "f.yaml:3: 'repeat' must be at least 1 (got 0)",
        (
            "f.yaml:5: 'assert[0].type' is no assertion we know: 'equal'; did you mean 'equals'? "
            f"(valid: {kinds}, each also with 'not-' before it)"
        ),
        "f.yaml:8: 'assert[1].threshold' is not a known key (valid: type, transform, weight, metric, value)",
        "f.yaml:9: 'assert[2]' must be a mapping (got 7)",
        (
            "f.yaml:10: 'asserts' is not a known key; did you mean 'assert'? "
            "(valid: golden_sets, assert, strata, cluster, repeat, judge, plugins)"
        ),
    ]


def test_a_missing_plugin_is_a_mistake_of_the_suite() -> None:
    """The line that names it is given."""
    (found,) = problems(load_suite, "golden_sets: ['.']\nplugins:\n- no_such_module_here\n")
    assert found.startswith("f.yaml:2: 'plugins': cannot import plugin no_such_module_here: ModuleNotFoundError")


def test_a_rule_over_several_keys_stands_on_the_line_of_its_key() -> None:
    """What the policy's own validators say passes through, with a line."""
    text = "version: 1\ncomposites:\n  rollback:\n    all: [errors/server, cost/per_request]\n"
    assert problems(load_policy, text) == [
        (
            "f.yaml:3: 'composites.rollback' puts 'errors/server' under 'all' or 'not', which can hide a failing "
            "signal: record its measured rate under 'false_alarm_rates: {errors/server: 0.01}'"
        )
    ]
    assert problems(load_policy, "composites: {promote: '*'}") == ["f.yaml:1: 'composites' must define 'rollback'"]


def test_a_composite_is_blamed_for_the_operator_it_uses() -> None:
    """Expressions are names or one operator; a mistake inside is found at its depth."""
    text = "composites:\n  rollback:\n    any:\n    - 3\n    - {foo: 1}\n    - {all: []}\n    - {any: [x], not: y}\n"
    rule = "must be the name of a signal, or 'any', 'all' or 'not' with their members"
    assert problems(load_policy, text) == [
        f"f.yaml:4: 'composites.rollback.any[0]' {rule} (got 3)",
        f"f.yaml:5: 'composites.rollback.any[1]' {rule} (got a mapping)",
        "f.yaml:6: 'composites.rollback.any[2].all' must not be empty",
        "f.yaml:7: 'composites.rollback.any[3].not' is not a known key (valid: any)",
    ]


def test_composites_nest() -> None:
    """`any`, `all` and `not` are read into expressions."""
    text = "composites: {rollback: {any: [a, {all: [b, {not: c}]}]}}\nfalse_alarm_rates: {b: 0.01, c: 0.01}\n"
    Path("p.yaml").write_text(text)
    assert load_policy("p.yaml").composites["rollback"] == Any_(any=("a", All_(all=("b", Not_(**{"not": "c"})))))


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


# --- what a file names ---------------------------------------------------------------------------------------


def pipeline(folder: Path, baseline: str, candidate: str = "{name: c, engine: replay, responses: r.jsonl}") -> Path:
    """A pipeline in `folder/pipes` over a suite and policy in `folder/evals`."""
    for name in ("evals", "pipes"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "evals/suite.yaml").write_text("golden_sets: [../golden]\n")
    (folder / "evals/policy.yaml").write_text("version: 1\n")
    (folder / "pipes/r.jsonl").write_text("")
    path = folder / "pipes/p.yaml"
    named = "suite: ../evals/suite.yaml\npolicy: ../evals/policy.yaml\n"
    path.write_text(f"{named}baseline: {baseline}\ncandidate: {candidate}\n")
    return path


def test_paths_are_relative_to_the_file_that_names_them(here: Path) -> None:
    """Suite, policy, golden sets and recorded outputs are found from anywhere."""
    path = pipeline(here, "{name: b, engine: replay, responses: ./r.jsonl}")
    (here / "golden").mkdir()
    loaded = load_pipeline(path)
    assert (loaded.suite, loaded.policy) == (str(here / "evals/suite.yaml"), str(here / "evals/policy.yaml"))
    assert isinstance(loaded.baseline, ReplayRelease)
    assert loaded.baseline.responses == str(here / "pipes/r.jsonl")
    assert load_suite(loaded.suite).golden_sets == (str(here / "golden"),)


def test_what_a_file_names_must_be_there(here: Path) -> None:
    """Missing files are found before anything runs, all of them at once."""
    (here / "empty.yaml").write_text("\n")
    text = """\
suite: nowhere.yaml
policy: empty.yaml
baseline: {name: b, engine: replay, responses: r.jsonl}
candidate: {name: c, engine: transformers, model: ./weights, prompt: file://p.txt}
"""
    assert problems(load_pipeline, text) == [
        "f.yaml:1: 'suite' names nowhere.yaml, which does not exist",
        "f.yaml:2: 'policy' names empty.yaml, which is empty; delete the option to use the defaults",
        "f.yaml:3: 'baseline.responses' names r.jsonl, which does not exist",
        "f.yaml:4: 'candidate.model' names weights, which does not exist",
        "f.yaml:4: 'candidate.prompt' names p.txt, which does not exist",
    ]
    assert problems(load_suite, "golden_sets: [nowhere]") == [
        "f.yaml:1: 'golden_sets[0]' names nowhere, which does not exist"
    ]


def test_what_a_file_names_must_last(here: Path) -> None:
    """A pipe that nobody writes to would be waited for, and a device filled the memory; through a link as well."""
    os.mkfifo(here / "pipe.jsonl")
    (here / "zero.jsonl").symlink_to("/dev/zero")
    text = """\
suite: pipe.jsonl
baseline: {name: b, engine: replay, responses: zero.jsonl}
candidate: {name: c, engine: transformers, model: org/name, prompt: file://pipe.jsonl}
load: {shape: trace, file: pipe.jsonl}
"""
    said = "is no file: it must read the same each time"
    assert problems(load_pipeline, text) == [
        f"f.yaml:1: 'suite' names pipe.jsonl, which {said}",
        f"f.yaml:2: 'baseline.responses' names /dev/zero, which {said}",
        f"f.yaml:3: 'candidate.prompt' names pipe.jsonl, which {said}",
        f"f.yaml:4: 'load.file' names pipe.jsonl, which {said}",
    ]
    assert problems(load_suite, "golden_sets: [zero.jsonl]") == [
        f"f.yaml:1: 'golden_sets[0]' names /dev/zero, which {said}"
    ]


def test_a_model_is_a_folder_where_there_is_one_else_an_id(here: Path) -> None:
    """`org/name` is a hub's id unless such a folder stands beside the pipeline."""
    path = pipeline(
        here, "{name: b, engine: transformers, model: org/small}", "{name: c, engine: openai, model: pipes}"
    )
    first = load_pipeline(path)
    (here / "pipes/org/small").mkdir(parents=True)
    (here / "pipes/pipes").mkdir()
    second = load_pipeline(path)
    assert isinstance(first.baseline, TransformersRelease)
    assert isinstance(second.baseline, TransformersRelease)
    assert isinstance(second.candidate, OpenAIRelease)
    assert first.baseline.model == "org/small"
    assert second.baseline.model == str(here / "pipes/org/small")
    assert second.candidate.model == "pipes", "a server's name for its model is no path"


def test_a_prompt_file_is_read_in(here: Path) -> None:
    """`file://` is replaced by the text, without its last line break; in chat turns as well."""
    turns = "{name: c, engine: openai, model: m, prompt: [{role: system, content: file://p.txt}]}"
    path = pipeline(here, "{name: b, engine: transformers, model: m, prompt: file://p.txt}", turns)
    (here / "pipes/p.txt").write_bytes("Q: {{question}}\nÀ:\n\n".encode())
    loaded = load_pipeline(path)
    assert isinstance(loaded.baseline, TransformersRelease)
    assert isinstance(loaded.candidate, OpenAIRelease)
    assert loaded.baseline.prompt == "Q: {{question}}\nÀ:\n"
    assert loaded.candidate.prompt == (Turn(role="system", content="Q: {{question}}\nÀ:\n"),)


def on_gpus(folder: Path, gpus: str, parallel: int) -> Path:
    """A pipeline whose replicas have so many GPUs, and whose servers share a model over so many."""
    path = pipeline(folder, f"{{name: b, engine: vllm, model: org/small, tensor_parallel: {parallel}}}")
    path.write_text(path.read_text() + f"runner: {{type: ray, gpus_per_arm: {gpus}}}\n")
    return path


@pytest.mark.parametrize(("gpus", "parallel"), [("0", 2), ("0.5", 1), ("1", 1), ("2.0", 2), ("4", 2)])
def test_gpus_that_can_be_used(here: Path, gpus: str, parallel: int) -> None:
    """A part of one or several whole ones; a CPU build shares a model without any."""
    runner = load_pipeline(on_gpus(here, gpus, parallel)).runner

    assert isinstance(runner, RayRunner)
    assert runner.gpus_per_arm == float(gpus)


@pytest.mark.parametrize(
    ("gpus", "parallel", "mistake"),
    [
        ("1.5", 1, "p.yaml:5: 'runner.gpus_per_arm' must be at most 1, or a whole number (got 1.5)"),
        (
            "1",
            2,
            "p.yaml:3: 'baseline.tensor_parallel' must be at most the GPUs of a replica, 'runner.gpus_per_arm: 1'",
        ),
        ("0.5", 2, "'runner.gpus_per_arm: 0.5' (got 2): give each replica as many"),
    ],
)
def test_gpus_that_no_server_could_use(here: Path, gpus: str, parallel: int, mistake: str) -> None:
    """What Ray refuses to hand out, and what a server would end over, is found before either is started."""
    with pytest.raises(ConfigError) as refused:
        load_pipeline(on_gpus(here, gpus, parallel))

    assert len(refused.value.problems) == 1
    assert mistake in refused.value.problems[0]


def test_a_runner_may_be_written_by_its_name(here: Path) -> None:
    """`runner: ray` is `runner: {type: ray}`."""
    release = "{name: b, engine: replay, responses: r.jsonl}"
    path = pipeline(here, release)
    path.write_text(path.read_text() + "runner: ray\n")
    assert load_pipeline(path).runner == RayRunner(type="ray")


# --- secrets --------------------------------------------------------------------------------------------------

SECRETIVE = "{name: b, engine: openai, model: '${X_MODEL}', api_key: '${X_KEY}', headers: {Auth: 'Bearer ${X_KEY}!'}}"


def test_the_environment_is_expanded_in_secrets_and_nowhere_else(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other fields keep `${…}` as it is written."""
    monkeypatch.setenv("X_KEY", "hunter2")
    monkeypatch.setenv("X_MODEL", "expanded")
    release = load_pipeline(pipeline(here, SECRETIVE)).baseline
    assert isinstance(release, OpenAIRelease)
    assert release.api_key is not None
    assert release.api_key.get_secret_value() == "hunter2"
    assert release.headers["Auth"].get_secret_value() == "Bearer hunter2!"
    assert release.model == "${X_MODEL}"
    assert "hunter2" not in repr(release) + release.model_dump_json()


@pytest.mark.parametrize(("value", "state"), [(None, "not set"), ("", "empty")])
def test_a_variable_that_is_unset_or_empty_is_a_mistake(
    here: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, state: str
) -> None:
    """CI systems hand a missing secret over as an empty variable; neither is sent."""
    monkeypatch.delenv("X_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("X_KEY", value)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(pipeline(here, SECRETIVE))
    said = f"needs the environment variable X_KEY, which is {state}"
    assert caught.value.problems == (
        f"pipes/p.yaml:3: 'baseline.api_key' {said}",
        f"pipes/p.yaml:3: 'baseline.headers.Auth' {said}",
    )


@pytest.mark.parametrize("field", ["api_key: 31337", "headers: [sk-31337]", "headers: sk-31337", "headers: {a: 31337}"])
def test_a_secret_is_never_shown_in_a_message(here: Path, field: str) -> None:
    """A mistake in a secret is described without its value."""
    with pytest.raises(ConfigError) as caught:
        load_pipeline(pipeline(here, f"{{name: b, engine: openai, model: m, {field}}}"))
    assert "31337" not in str(caught.value)
    assert "'baseline." in str(caught.value)
