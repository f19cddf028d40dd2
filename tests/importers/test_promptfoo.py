"""What promptfoo's users have, read into a workspace that loads."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from canary.cli import main

CONFIG = """\
description: shop
prompts: ["Answer: {{question}}"]
providers:
  - openai:gpt-4o-mini
  - {id: openai:chat:gpt-4o, config: {temperature: 0.2, apiKey: x}}
defaultTest:
  options: {provider: openai:gpt-4o-mini}
  assert:
    - {type: word-count, value: {max: 50}}
tests:
  - vars: {question: [a, b]}
    assert:
      - {type: contains-any, value: "x,y"}
      - {type: javascript, value: "output.length < 5"}
  - vars: {question: c}
    threshold: 0.5
    assert:
      - {type: equals, value: C, weight: 2, transform: output.trim()}
      - {type: is-json, value: file://schema.json}
      - {type: llm-rubric, value: polite}
scenarios: []
"""


def run(*argv: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    return main(argv, out, err), out.getvalue(), err.getvalue()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as people have it, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    path = tmp_path / "shop.yaml"
    path.write_text(CONFIG)
    return path


def test_what_is_left_out_is_listed(config: Path) -> None:
    """Each piece by its line, and the exit status says that there is one."""
    status, out, err = run("import", "promptfoo", str(config))
    assert status == 3
    assert out.startswith("3 cases imported")
    lines = [line.removeprefix("canary: left out: ").split(": ")[0] for line in err.splitlines()]
    assert lines == ["shop.yaml:21", "shop.yaml:14", "shop.yaml:16", "shop.yaml:5"]


def test_what_was_imported(config: Path) -> None:
    """Lists of values are cases of their own, a threshold is a set, JavaScript is translated where it is known."""
    run("import", "promptfoo", str(config))
    cases = [json.loads(line) for line in Path("golden_sets/shop/prompts.jsonl").read_text().splitlines()]
    assert [case["id"] for case in cases] == ["0001-1", "0001-2", "0002"]
    assert cases[0]["assert"] == [{"type": "contains-any", "value": ["x", "y"]}]
    assert cases[2]["assert"] == [
        {
            "type": "assert-set",
            "threshold": 0.5,
            "metric": "test",
            "assert": [
                {"type": "equals", "value": "C", "weight": 2, "transform": "{{ output | trim }}"},
                {"type": "is-json", "value": {"type": "object"}},
            ],
        },
        {"type": "llm-rubric", "value": "polite"},
    ]


JUDGED = """\
providers: [openai:gpt-4.1]
prompts: ["{{question}}"]
defaultTest:
  options:
    provider: PROVIDER
  assert:
    - {type: llm-rubric, value: 'Provides a direct answer to "{{question}}"', threshold: 0.8}
tests:
  - vars: {question: "What is the capital of France?"}
    assert:
      - {type: factuality, value: "Paris", provider: openai:gpt-4.1-mini}
      - {type: model-graded-closedqa, value: Provides a clear answer without hedging or uncertainty}
      - {type: g-eval, value: Is coherent, threshold: 0.6}
      - {type: select-best, value: is the funniest}
      - {type: similar:cosine, value: [Paris, file://other.txt], threshold: 0.8, provider: openai:embedding:x}
      - {type: similar:euclidean, value: Paris, threshold: 0.5}
      - {type: assert-set, assert: [{type: llm-rubric, value: polite}, {type: icontains, value: paris}]}
"""


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai:gpt-4.1-mini", "gpt-4.1-mini"),
        ("{id: openai:chat:m, config: {apiBaseUrl: 'http://127.0.0.1:9/v1'}}", "m"),
        ("{text: openai:m, embedding: openai:embedding:e}", "m"),
    ],
)
def test_judged(config: Path, provider: str, model: str) -> None:
    """The documented forms: each judged assertion, and the default grader as the suite's judge; and it loads."""
    config.write_text(JUDGED.replace("PROVIDER", provider))
    Path("other.txt").write_text("The capital: Paris\n")

    status, _, err = run("import", "promptfoo", str(config))

    suite = yaml.safe_load(Path("evals/shop.yaml").read_text())
    [case] = map(json.loads, Path("golden_sets/shop/prompts.jsonl").read_text().splitlines())
    assert status == 3
    assert suite["assert"] == [{"type": "llm-rubric", "value": 'Provides a direct answer to "{{question}}"'}]
    assert (suite["judge"]["release"]["engine"], suite["judge"]["release"]["model"]) == ("openai", model)
    assert case["assert"] == [
        {"type": "factuality", "value": "Paris"},
        {"type": "closed-qa", "value": "Provides a clear answer without hedging or uncertainty"},
        {"type": "g-eval", "value": "Is coherent", "threshold": 0.6},
        {"type": "select-best", "value": "is the funniest"},
        {"type": "similar", "value": ["Paris", "The capital: Paris"], "threshold": 0.8},
        {"type": "assert-set", "assert": [{"type": "icontains", "value": "paris"}]},
    ]
    for said in ("'threshold' is left out", "'provider' is left out", "euclidean", "outside of a set"):
        assert said in err
    assert ("an embedding provider" in err) == ("embedding" in provider)
    planned = run("plan", "pipelines/shop.yaml", "--allow-underpowered")
    assert planned[0] == 0, planned[2]


def test_a_judge_that_nobody_named_is_asked_for(config: Path) -> None:
    """Another maker's grader has no counterpart: the suite needs a `judge`, and plan says so too."""
    config.write_text(JUDGED.replace("PROVIDER", "anthropic:messages:m"))
    Path("other.txt").write_text("x")

    _, _, err = run("import", "promptfoo", str(config))

    assert "shop.yaml:5: provider 'anthropic:messages:m'" in err
    assert "assertions ask a judge: name one under 'judge' in evals/shop.yaml, or nothing runs" in err
    status, _, said = run("plan", "pipelines/shop.yaml", "--allow-underpowered")
    assert (status, "'judge' must be given in the suite" in said) == (2, True)


def test_it_loads(config: Path) -> None:
    """`canary plan` reads the pipeline, the suite and the golden set."""
    run("import", "promptfoo", str(config))
    status, out, err = run("plan", "pipelines/shop.yaml", "--allow-underpowered")
    assert status == 0, err
    assert "3 cases" in out


def test_nothing_is_overwritten(config: Path) -> None:
    """A second import into the same folder is refused and changes nothing."""
    run("import", "promptfoo", str(config))
    status, _, err = run("import", "promptfoo", str(config))
    assert status == 2
    assert "is there already" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [("- 1\n", "must be a mapping"), ("a: [\n", "shop.yaml:"), ("tests: []\n", "holds no case that can be imported")],
)
def test_broken(config: Path, text: str, said: str) -> None:
    """One sentence that names the file."""
    config.write_text(text)
    status, _, err = run("import", "promptfoo", str(config))
    assert status == 2
    assert said in err


_TEST = """\
prompts: [hi]
providers: ['openai:gpt']
tests:
  - {{vars: {vars}, assert: [{{type: equals, value: {value}}}]}}
"""


@pytest.mark.parametrize(
    ("variables", "value", "said"),
    [
        ("{a: 1}", "file://bomb.yaml", "holds more than 100,000 values"),
        ("{a: 1}", "file://cycle.yaml", "is nested deeper than 100 levels"),
        ("{a: 1}", "file://deep.json", "recursion"),
        ("{a: 1}", "file:///dev/zero", "is no file"),
        ("{" + ", ".join(f"v{n}: {list(range(50))}" for n in range(12)) + "}", "a", "more than 10,000 cases"),
        ("[1]", "a", "'vars' is no mapping"),
    ],
)
def test_hostile(config: Path, variables: str, value: str, said: str) -> None:
    """A file that grows without end, or is another shape, is left out with a sentence."""
    rows = (f"- &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]\n" for n in range(9))
    config.with_name("bomb.yaml").write_text("".join(rows))
    config.with_name("cycle.yaml").write_text("&a [*a]")
    config.with_name("deep.json").write_text("[" * 100_000)
    config.write_text(_TEST.format(vars=variables, value=value))
    status, _, err = run("import", "promptfoo", str(config))

    assert status in (2, 3)
    assert said in err


@pytest.mark.parametrize("release", ["file://bytes.txt", "file://deep.json"])
def test_hostile_releases(config: Path, release: str) -> None:
    """A prompt that is no text and settings that are no mapping are left out; what only looks like JSON is text."""
    config.with_name("bytes.txt").write_bytes(b"\xff\xfe")
    config.with_name("deep.json").write_text("[" * 100_000)
    test = "tests: [{vars: {a: 1}, assert: [{type: equals, value: a}]}]\n"
    config.write_text(f"prompts: ['{release}']\nproviders: [{{id: 'openai:gpt', config: [1]}}, 'openai:gpt']\n{test}")
    status, _, err = run("import", "promptfoo", str(config))

    assert status == 3
    assert "'config' is no mapping" in err
    assert ("cannot be read as UTF-8 text" in err) is (release == "file://bytes.txt")


def test_ifeval(config: Path) -> None:
    """Prompts with their instructions; what is unknown is left out with its line."""
    rows = [
        {"key": 7, "prompt": "p", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"n": None}]},
        {"key": 8, "prompt": "p", "instruction_id_list": ["en:keywords:existence"], "kwargs": [{"keywords": ["a"]}]},
        {"key": 9, "prompt": "p", "instruction_id_list": ["new:thing"], "kwargs": [{}]},
    ]
    Path("rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    status, _, err = run("import", "ifeval", "rows.jsonl")
    assert status == 3
    assert "rows.jsonl:3: instruction 'new:thing'" in err
    first, second = map(json.loads, Path("golden_sets/rows/prompts.jsonl").read_text().splitlines())
    assert first == {
        "id": "7",
        "vars": {"prompt": "p"},
        "metadata": {"stratum": "punctuation"},
        "assert": [{"type": "ifeval:punctuation:no_comma"}],
    }
    assert second["assert"] == [{"type": "ifeval:keywords:existence", "keywords": ["a"]}]
