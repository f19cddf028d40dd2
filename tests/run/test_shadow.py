"""Stage `shadow`: requests without a reference, both arms' answers held against the baseline's own."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.cli import main
from canary.pipeline import RayRunner, Stages
from canary.runners.ray import cluster

Workspace = Callable[..., Path]
CASES = 120


def run(*argv: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    return main(argv, out, err), out.getvalue(), err.getvalue()


def answers(texts: Callable[[int, int], str], repeats: int = 2) -> Iterator[str]:
    """Recorded outputs, the k-th to each case by its number."""
    for i in range(CASES):
        yield from (json.dumps({"id": f"r{i}", "repeat": k, "output": texts(i, k)}) for k in range(repeats))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A pipeline over recorded outputs: `workspace(candidate, suite={...}, stages={...})`."""
    monkeypatch.chdir(tmp_path)

    def make(candidate: Callable[[int, int], str], suite: dict[str, Any] | None = None, **pipeline: Any) -> Path:
        cases = ({"id": f"r{i}", "messages": [{"role": "user", "content": f"question {i}"}]} for i in range(CASES))
        Path("prompts.jsonl").write_text("\n".join(map(json.dumps, cases)))
        Path("v1.jsonl").write_text("\n".join(answers(lambda i, _: f"answer {i}")))
        Path("v2.jsonl").write_text("\n".join(answers(candidate)))
        same = {"type": "equals", "value": "{{baseline}}", "metric": "same"}
        asked = {"golden_sets": ["prompts.jsonl"], "repeat": 2, "assert": [same], **(suite or {})}
        Path("suite.yaml").write_text(json.dumps(asked))
        sides = {
            arm: {"name": file, "engine": "replay", "responses": f"{file}.jsonl"}
            for arm, file in (("baseline", "v1"), ("candidate", "v2"))
        }
        Path("p.yaml").write_text(json.dumps({"suite": "suite.yaml", **sides, "runner": "local", **pipeline}))
        return Path("p.yaml")

    return make


def unchanged(i: int, _: int) -> str:
    """As the baseline answers."""
    return f"answer {i}"


def drifted(i: int, _: int) -> str:
    """Another answer to every eighth request."""
    return f"answer {i}" if i % 8 else "sorry"


@pytest.mark.parametrize(("candidate", "status", "word"), [(unchanged, 0, "promote"), (drifted, 1, "rollback")])
def test_a_run_decides_without_a_reference(
    workspace: Workspace, candidate: Callable[[int, int], str], status: int, word: str
) -> None:
    """The same from `run`, from `replay` of it and from `compare` of the files; the record names the stage."""
    path = workspace(candidate)
    found, out, err = run("run", str(path), "--stage", "shadow", "--json")
    assert (found, json.loads(out)["stage"], json.loads(out)["verdict"]) == (status, "shadow", word), err

    (kept,) = (folder for folder in Path("runs").iterdir() if folder.is_dir())
    again = run("replay", str(kept), "--json")
    files = run("compare", "v1.jsonl", "v2.jsonl", "--suite", "suite.yaml", "--json")
    assert (again[0], files[0]) == (status, status)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_arms_in_processes_of_their_own_decide_the_same(workspace: Workspace) -> None:
    """Under Ray the record of the verdict is the same to the byte."""
    pytest.importorskip("ray")
    runner = RayRunner(type="ray")
    with cluster(runner):
        for candidate in (unchanged, drifted):
            here = run("run", str(workspace(candidate)), "--stage", "shadow", "--json")
            path = workspace(candidate, runner=runner.model_dump())
            there = run("run", str(path), "--stage", "shadow", "--json")

            assert there[:2] == here[:2], there[2]
            assert json.loads(there[1])["verdict"] == ("promote" if candidate is unchanged else "rollback")


def test_the_stage_has_a_number_of_cases_of_its_own(workspace: Workspace) -> None:
    """The plan counts them, and each is asked twice."""
    path = workspace(unchanged, stages={"staging": {"cases": 100}, "shadow": {"cases": 110}})

    assert "candidate: 200 answers read from a file" in run("plan", str(path), "--stage", "staging")[1]
    out = run("plan", str(path), "--stage", "shadow")[1]
    assert "stage shadow" in out
    assert "candidate: 220 answers read from a file" in out


def test_a_pipeline_need_not_name_the_stage() -> None:
    """It then asks everything; `build` alone has to be asked for."""
    assert (Stages().shadow.cases, Stages().build) == (None, None)


@pytest.mark.parametrize("command", ["plan", "run", "compare"])
def test_one_answer_each_is_not_enough(workspace: Workspace, command: str) -> None:
    """Found before anything is asked, with the line that mends it."""
    path = workspace(unchanged, suite={"repeat": 1})
    argv = ["compare", "v1.jsonl", "v2.jsonl", "--suite", "suite.yaml"] if command == "compare" else [
        command, str(path), "--stage", "shadow"
    ]  # fmt: skip
    for name in ("v1", "v2"):
        Path(f"{name}.jsonl").write_text("\n".join(answers(unchanged, repeats=1)))
    status, _, err = run(*argv)

    assert status == 2
    assert "'repeat' of the suite must be at least 2" in err
    assert "write 'repeat: 2'" in err
    assert not Path("runs").exists()


def test_a_variable_of_that_name_needs_no_second_answer(workspace: Workspace) -> None:
    """Golden sets that had one before `{{baseline}}` meant anything run as they did."""
    path = workspace(unchanged, suite={"repeat": 1})
    cases = [{"id": f"r{i}", "vars": {"baseline": f"answer {i}"}} for i in range(CASES)]
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, cases)))
    for name in ("v1", "v2"):
        Path(f"{name}.jsonl").write_text("\n".join(answers(unchanged, repeats=1)))

    assert run("run", str(path))[0] == 0


def test_an_assertion_that_needs_a_reference_is_an_error(workspace: Workspace) -> None:
    """A recorded request has no `expected`."""
    path = workspace(unchanged, suite={"assert": [{"type": "equals", "value": "{{expected}}"}]})
    status, _, err = run("run", str(path), "--stage", "shadow")

    assert status == 2
    assert "case 'r0': the value of 'equals' cannot be filled in from the case: 'expected' is undefined" in err
    assert "(also in 119 other cases)" in err
    assert "'{{baseline}}'" in err


def test_noise_is_measured_on_the_stages_cases(workspace: Workspace) -> None:
    """`calibrate noise --stage shadow` fits `run --stage shadow`; the remedy for another one names the stage."""
    path = workspace(unchanged, stages={"shadow": {"cases": 110}})
    assert run("calibrate", "noise", str(path), "--again", "v1.jsonl")[0] == 0
    assert "calibrate noise p.yaml --stage shadow" in run("plan", str(path), "--stage", "shadow")[1]

    assert run("calibrate", "noise", str(path), "--again", "v1.jsonl", "--stage", "shadow")[0] == 0
    assert "discordance measured: 110 cases" in run("plan", str(path), "--stage", "shadow")[1]
