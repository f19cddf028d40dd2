"""Reading what users write: every mistake at once, on its line, in plain words."""

from __future__ import annotations

from pathlib import Path

from canary.assertions import ASSERTIONS
from canary.config import load_pipeline, load_policy, load_suite
from canary.expression import All_, Any_, Not_
from tests.config_files import POLICY_KEYS, here, problems

__all__ = ["here"]  # fixture


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
