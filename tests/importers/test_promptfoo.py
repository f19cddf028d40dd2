"""What promptfoo's users have, read into a workspace that loads."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from canary.cli import main

CONFIG = """\
description: shop
prompts: ["Answer: {{question}}"]
providers:
  - openai:gpt-4o-mini
  - {id: openai:chat:gpt-4o, config: {temperature: 0.2, apiKey: x}}
defaultTest:
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
    assert lines == ["shop.yaml:20", "shop.yaml:13", "shop.yaml:19", "shop.yaml:5"]


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
        }
    ]


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
