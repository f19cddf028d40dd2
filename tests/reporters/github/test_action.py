"""The composite action and the example workflows: valid, and run step by step as a runner would."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ACTION = ROOT / ".github/actions/gate/action.yml"
WORKFLOWS = sorted(ROOT.glob(".github/workflows*/*.yml"))
SECRET = "sk-planted-0123456789"  # nobody's

SUITE = 'golden_sets: [../golden]\nassert: [{type: equals, value: "{{expected}}", metric: exact}]\n'
PIPELINE = (
    "suite: ../evals/suite.yaml\n"
    "baseline: {name: v1, engine: replay, responses: ../recorded/v1.jsonl}\n"
    "candidate: {name: v2, engine: replay, responses: ../recorded/v2.jsonl}\n"
    "runner: local\n"
)


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    """One of the linters, from the environment the tests run in."""
    program = Path(sys.executable).parent / command[0]
    return subprocess.run([str(program), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("schema", "files"), [("github-actions", [ACTION]), ("github-workflows", WORKFLOWS)])
def test_the_published_schema_accepts_it(schema: str, files: list[Path]) -> None:
    """What GitHub would refuse is found here."""
    done = tool("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files))

    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_in_it_is_known_to_be_dangerous() -> None:
    """No unpinned action, no text of others in a script, no token that may do more than it must."""
    done = tool("zizmor", "--offline", "--no-progress", str(ACTION), *map(str, WORKFLOWS))

    assert done.returncode == 0, done.stdout


class Runner:
    """Runs the action's own scripts with bash, each in a process of its own, as GitHub does."""

    def __init__(self, folder: Path, workspace: Path, environment: dict[str, str]) -> None:
        self.folder, self.workspace = folder, workspace
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "INPUT_", "RUNNER_"))}
        runner = {
            "RUNNER_TEMP": str(folder),
            "GITHUB_WORKSPACE": str(workspace),
            "GITHUB_ACTION_PATH": str(ACTION.parent),
        }
        self.environment = kept | environment | runner | {"OPENAI_API_KEY": SECRET}
        self.log, self.steps = "", dict[str, dict[str, str]]()
        self.install()

    def install(self) -> None:
        """What the action's own step would install: this checkout, under the name it has there."""
        program = self.folder / "canary/bin/canary"
        program.parent.mkdir(parents=True)
        python = f"PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)}"
        program.write_text(f'#!/bin/sh\n{python} -m canary "$@"\n')
        program.chmod(0o755)

    def run(self, **given: str) -> int:
        """The exit status of the last step; a runner goes on after a failure only where a step says so."""
        action = yaml.safe_load(ACTION.read_text())
        inputs = {name: str(rule.get("default", "")) for name, rule in action["inputs"].items()}
        inputs |= {"base-ref": "", "github-token": "ghs_" + "t" * 36} | {
            k.replace("_", "-"): v for k, v in given.items()
        }
        status = 0
        for step in action["runs"]["steps"]:
            if "run" not in step or step["name"] == "Install":
                continue
            always = "always()" in str(step.get("if", ""))
            if (status and not always) or not self.value(str(step.get("if", "true")), inputs):
                continue
            code = self.step(step, inputs)
            status = status or (0 if step.get("continue-on-error") else code)
        return status

    def step(self, step: dict[str, Any], inputs: dict[str, str]) -> int:
        """One script with its variables; what it sets is kept, what it prints is masked."""
        output = self.folder / "step-output"
        output.write_text("")
        variables = {name: self.fill(str(text), inputs) for name, text in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace / self.fill(step.get("working-directory", "."), inputs),
            env=self.environment | variables | {"GITHUB_OUTPUT": str(output)},
            capture_output=True,
            text=True,
            check=False,
        )
        text = done.stdout + done.stderr
        self.log += "".join(line + "\n" for line in text.splitlines() if not line.startswith("::add-mask::"))
        if "id" in step:
            self.steps[step["id"]] = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return done.returncode

    def fill(self, text: str, inputs: dict[str, str]) -> str:
        """The text with its expressions evaluated."""
        return re.sub(r"\$\{\{(.+?)\}\}", lambda match: str(self.value(match[1], inputs)), text)

    def value(self, expression: str, inputs: dict[str, str]) -> Any:
        """An expression of the few kinds the action uses."""
        names = re.sub(r"inputs\.([a-z-]+)", r"inputs['\1']", expression)
        names = re.sub(r"steps\.(\w+)\.outputs\.([a-z0-9-]+)", r"outputs('\1', '\2')", names)
        names = names.replace("&&", " and ").replace("||", " or ").replace("always()", "True").replace("true", "True")
        names = names.replace("'True'", "'true'")
        known = {"inputs": inputs, "outputs": lambda step, name: self.steps.get(step, {}).get(name, "")}
        return eval(names.strip(), known)


Act = Callable[..., Runner]


@pytest.fixture
def act(tmp_path: Path, environment: Any) -> Act:
    """A runner on a checkout whose candidate loses 40 of 100 cases, or none."""

    def make(event: str, *, lost: int = 40) -> Runner:
        workspace = tmp_path / "checkout"
        rows = [f'{{"id": "c{i}", "vars": {{"q": "{i}?"}}, "expected": "{i}"}}\n' for i in range(100)]
        answers = {"v1": 0, "v2": lost}
        files = {"evals/suite.yaml": SUITE, "pipelines/p.yaml": PIPELINE, "golden/prompts.jsonl": "".join(rows)}
        for name, bad in answers.items():
            lines = [f'{{"id": "c{i}", "output": "{"::error::@octocat" if i < bad else i}"}}\n' for i in range(100)]
            files[f"recorded/{name}.jsonl"] = "".join(lines)
        for name, text in files.items():
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (workspace / name).write_text(text)
        (tmp_path / "temp").mkdir(exist_ok=True)
        return Runner(tmp_path / "temp", workspace, environment(event))

    return make


def test_a_pull_request_from_first_push_to_second(act: Act, github: Any, tmp_path: Path) -> None:
    """Rollback fails the job, sets outputs, comments once; the next push updates that comment."""
    for i in range(120):
        github.say(f"user{i}", "hello")
    runner = act("pull_request")
    status = runner.run(pipeline="pipelines/p.yaml")
    outputs = runner.steps["gate"]

    assert status == 1, runner.log
    assert (outputs["verdict"], outputs["exit-code"], outputs["mlflow-run-url"]) == ("rollback", "1", "")
    assert {"junit.xml", "verdict.json"} <= {path.name for path in Path(outputs["report-path"]).iterdir()}
    assert "canary: commented on pull request 7" in runner.log
    assert (tmp_path / "summary.md").read_text().startswith("> [!CAUTION]")
    assert "file=golden/prompts.jsonl,line=1" in runner.log
    assert len([line for line in runner.log.splitlines() if line.startswith("::error")]) == 10

    runner.environment["GITHUB_RUN_ID"] = "101"
    runner.run(pipeline="pipelines/p.yaml", fail_on="never")
    assert "canary: updated the comment on pull request 7" in runner.log
    (comment,) = github.by_bot()
    assert "**rollback**" in comment["body"]
    for text in (runner.log, comment["body"], *(p.read_text() for p in Path(outputs["report-path"]).iterdir())):
        assert SECRET not in text
        assert "ghs_" not in text


@pytest.mark.parametrize("event", ["push", "workflow_dispatch", "merge_group", "fork"])
def test_other_events_have_a_summary_alone(event: str, act: Act, github: Any, tmp_path: Path) -> None:
    """The verdict is the exit status wherever nobody can be commented to."""
    runner = act(event, lost=0)

    assert runner.run(pipeline="pipelines/p.yaml") == 0, runner.log
    assert runner.steps["gate"]["verdict"] == "promote"
    assert "canary: no comment: " in runner.log
    assert github.comments == []
    assert (tmp_path / "summary.md").read_text().startswith("> [!TIP]")


def test_trouble_at_github_changes_no_status(act: Act, github: Any) -> None:
    """A token that is refused, an hour's wait, a server that is down: the job's status is the verdict's."""
    github.failures = [(403, {"Retry-After": "3600"})] * 50
    runner = act("pull_request", lost=0)
    (runner.workspace / "pipelines/p.yaml").write_text(PIPELINE + "reporters: [json]\n")

    assert runner.run(pipeline="pipelines/p.yaml") == 0
    assert runner.steps["gate"]["verdict"] == "promote", "a workflow is told whatever reports are kept"
    assert "canary: no comment, the verdict stands: HTTP 403 no" in runner.log


def test_no_verdict_is_said_where_one_would_stand(act: Act, github: Any, tmp_path: Path) -> None:
    """A comment that says promote does not outlive the push that broke the gate."""
    runner = act("pull_request", lost=0)
    runner.run(pipeline="pipelines/p.yaml")
    (runner.workspace / "evals/suite.yaml").write_text("nonsense: true\n")
    runner.environment["GITHUB_RUN_ID"] = "101"
    runner.steps.clear()

    assert runner.run(pipeline="pipelines/p.yaml") == 2
    (comment,) = github.by_bot()
    assert "**no verdict**: `the command, a file or a setting is wrong (exit 2); the log says more`" in comment["body"]
    assert "no verdict" in (tmp_path / "summary.md").read_text()


def test_the_base_ref_judges(act: Act, github: Any) -> None:
    """A loosened policy is named in the comment and does not count."""
    runner = act("pull_request")
    policy = runner.workspace / "evals/policy.yaml"
    policy.write_text("version: 1\n")
    pipeline = runner.workspace / "pipelines/p.yaml"
    pipeline.write_text(PIPELINE + "policy: ../evals/policy.yaml\n")
    git = ["git", "-C", str(runner.workspace), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "base"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    policy.write_text("version: 1\nquality: {max_drop: 0.9, stratum: {max_drop: 0.9}}\n")
    status = runner.run(pipeline="pipelines/p.yaml", base_ref="HEAD")

    assert status == 1, runner.log
    said = "**`this pull request changes the gate itself: evals/policy.yaml (changed); judged by the base's`**"
    assert said in github.by_bot()[0]["body"]
