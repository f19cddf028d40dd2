"""What is wrong with a pipeline's cases is found before anything is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.test_run import Workspace, read_lines, workspace

__all__ = ["workspace"]  # fixture


def test_an_unknown_reporter_is_refused(workspace: Workspace) -> None:
    """A typing error is named with the reporter it most likely means, before anything runs."""
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "reporters: [pdf, markdwon]\n")

    refused = workspace.run()

    assert refused.status == 2
    assert "'reporters[0]' must be one of" in refused.err
    assert "markdown'?" in refused.err
    assert not (workspace.folder / "runs").exists()


@pytest.mark.parametrize("command", ["compare", "plan", "run"])
@pytest.mark.parametrize(
    ("changed", "flaw"),
    [
        ({"expected": None}, "nothing grades it: it has neither assertions nor 'expected'"),
        (
            {"assert": [{"type": "equals", "value": "{{vars.question}}"}]},
            "the value of 'equals' cannot be filled in from the case: 'dict object' has no attribute 'question'",
        ),
    ],
)
def test_a_case_that_cannot_be_graded_is_named_with_its_line(
    workspace: Workspace, command: str, changed: dict[str, Any], flaw: str
) -> None:
    """The line of the file, whatever the order of the ids."""
    prompts = workspace.folder / "golden" / "prompts.jsonl"
    rows = read_lines(prompts)
    rows[70] = {key: value for key, value in (rows[70] | changed).items() if value is not None}
    workspace.write("golden/prompts.jsonl", rows)
    files = [workspace.folder / "v1.jsonl", workspace.folder / "v2.jsonl", "--golden", prompts.parent]

    ran = workspace.canary(command, *(files if command == "compare" else [workspace.folder / "pipeline.yaml"]))

    assert (ran.status, ran.err) == (2, f"canary: {prompts}:71: case 'c70': {flaw}\n")


def test_a_prompt_that_a_case_cannot_fill_is_named_with_its_line(workspace: Workspace) -> None:
    """Of two releases that answer for themselves, the one whose template asks for more."""
    prompts, pipeline = workspace.folder / "golden" / "prompts.jsonl", workspace.folder / "pipeline.yaml"
    live = "engine: openai, model: m, base_url: 'http://localhost:9/v1', prompt: '{{%s}}'"
    written = pipeline.read_text()
    for arm, name in (("v1", "prompt"), ("v2", "question")):
        written = written.replace(f"engine: replay, responses: {arm}.jsonl", live % name)
    pipeline.write_text(written)

    planned = workspace.canary("plan", pipeline)

    told = f"{prompts}:1: case 'c0': 'prompt' of release 'v2' cannot be filled in: 'question' is undefined"
    assert (planned.status, planned.err) == (2, f"canary: {told} (the case has vars: prompt)\n")


@pytest.mark.parametrize(
    "changed",
    [
        {"messages": [{"role": "user", "content": "say 5"}]},
        {"metadata": {"stratum": "a", "tools": [{"type": "function"}]}},
    ],
    ids=["turns", "tools"],
)
def test_a_case_that_cannot_be_completed_is_found_first(workspace: Workspace, changed: dict[str, Any]) -> None:
    """With its line, and before anything is sent; the release that chats takes it."""
    prompts, pipeline = workspace.folder / "golden" / "prompts.jsonl", workspace.folder / "pipeline.yaml"
    rows = read_lines(prompts)
    workspace.write("golden/prompts.jsonl", [*rows[:5], rows[5] | changed, *rows[6:]])
    live = "engine: openai, model: m, base_url: 'http://localhost:9/v1', prompt: '{{prompt}}'"
    written = pipeline.read_text().replace("engine: replay, responses: v1.jsonl", live)
    pipeline.write_text(written.replace("engine: replay, responses: v2.jsonl", f"{live}, api: completions"))

    ran = workspace.run()

    told = "'api' of release 'v2' must be chat for chat turns or tools (got completions)"
    assert (ran.status, ran.err) == (2, f"canary: {prompts}:6: case 'c5': {told}\n")


def test_repeats_beyond_the_suites_are_refused(workspace: Workspace) -> None:
    """Recorded answers that nobody would look at are not dropped in silence."""
    rows = read_lines(workspace.folder / "v2.jsonl")
    workspace.write("v2.jsonl", [*rows, *({**row, "output": "wrong", "repeat": 1} for row in rows)])

    ran = workspace.run()

    assert ran.status == 2
    assert "candidate: every 'repeat' must be below the suite's 'repeat: 1' (got 1)" in ran.err
