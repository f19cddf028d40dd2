"""Runs from pipeline to sealed record: cut off, resumed, replayed, verified."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import killed_after

ARMS = ("baseline", "candidate")
Canary = Callable[..., Any]
ROOT = Path(__file__).resolve().parent.parent
CHECKPOINTS = ROOT / "pipelines" / "checkpoints"


class Workspace:
    """A pipeline over recorded outputs of 120 cases in two strata."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.folder, self.canary = folder, canary
        cases = [
            {"id": f"c{i}", "vars": {"prompt": f"say {i}"}, "expected": str(i), "metadata": {"stratum": "ab"[i % 2]}}
            for i in range(120)
        ]
        self.write("golden/prompts.jsonl", cases)
        for arm in ("v1", "v2"):
            self.write(f"{arm}.jsonl", [{"id": case["id"], "output": case["expected"]} for case in cases])
        (folder / "suite.yaml").write_text("golden_sets: [golden]\n")
        (folder / "pipeline.yaml").write_text(
            "suite: suite.yaml\n"
            "baseline: {name: v1, engine: replay, responses: v1.jsonl}\n"
            "candidate: {name: v2, engine: replay, responses: v2.jsonl}\n"
            "runner: local\n"
        )

    def write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        """Write one JSONL file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def run(self, *options: object) -> Any:
        """`canary run` on the pipeline, into `runs/`."""
        return self.canary("run", self.folder / "pipeline.yaml", "--runs", self.folder / "runs", "--json", *options)

    @property
    def runs(self) -> list[Path]:
        """Every run directory, oldest first."""
        return sorted((self.folder / "runs").iterdir())


@pytest.fixture
def workspace(tmp_path: Path, canary: Canary) -> Workspace:
    """A workspace that promotes."""
    return Workspace(tmp_path, canary)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Every row of a JSONL file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def digests(run: Path) -> dict[str, str]:
    """The sha256 of every file of a run."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(run.iterdir())}


def cut_off(run: Path, lines: int, torn: bytes = b"") -> None:
    """Leave a run as a crash would: some answers, a torn line, nothing after."""
    kept = (run / "responses.jsonl").read_bytes().splitlines(keepends=True)[:lines]
    (run / "responses.jsonl").write_bytes(b"".join(kept) + torn)
    for name in ("scores.jsonl", "verdict.json", "summary.md", "report.html", "manifest.json"):
        (run / name).unlink()


def test_a_run_writes_a_sealed_record(workspace: Workspace) -> None:
    """Every file of the contract is there and verifies."""
    ran = workspace.run()

    assert ran.status == 0, ran.err
    names = {
        "plan.json",
        "prompts.jsonl",
        "responses.jsonl",
        "scores.jsonl",
        "verdict.json",
        "summary.md",
        "report.html",
        "junit.xml",
        "manifest.json",
    }
    assert {path.name for path in workspace.runs[0].iterdir()} == names
    assert workspace.canary("verify", workspace.runs[0]).status == 0


def test_the_pipeline_chooses_its_reports(workspace: Workspace) -> None:
    """A report that is not asked for is not written; the verdict is, as it is the record."""
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "reporters: [terminal]\n")

    assert workspace.run().status == 0

    written = {path.name for path in workspace.runs[0].iterdir()}
    assert "verdict.json" in written
    assert "summary.md" not in written


def test_an_unknown_reporter_is_refused(workspace: Workspace) -> None:
    """A typing error is named with the reporter it most likely means, before anything runs."""
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "reporters: [pdf, markdwon]\n")

    refused = workspace.run()

    assert refused.status == 2
    assert "'reporters[0]' must be one of" in refused.err
    assert "markdown'?" in refused.err
    assert not (workspace.folder / "runs").exists()


def test_two_runs_of_the_same_evidence_are_byte_identical(workspace: Workspace) -> None:
    """The verdict knows no time, path or run id; replay prints the same bytes."""
    first, second = workspace.run(), workspace.run()

    assert first.out == second.out
    assert first.out == (workspace.runs[0] / "verdict.json").read_text()
    assert workspace.canary("replay", workspace.runs[0], "--json").out == first.out


def test_a_tampered_record_is_found(workspace: Workspace) -> None:
    """A changed answer is named by verify, and replay refuses to judge it."""
    workspace.run()
    responses = workspace.runs[0] / "responses.jsonl"
    responses.write_text(responses.read_text().replace('"output":"7"', '"output":"8"', 1))

    verified = workspace.canary("verify", workspace.runs[0])

    assert verified.status == 2
    assert "responses.jsonl changed" in verified.err
    assert workspace.canary("replay", workspace.runs[0]).status == 2


def test_replay_under_another_policy_leaves_the_record_alone(workspace: Workspace) -> None:
    """What-if is a question, not an edit."""
    workspace.run()
    before = digests(workspace.runs[0])
    strict = workspace.folder / "strict.yaml"
    strict.write_text("quality: {max_drop: 0.001}\n")

    ran = workspace.canary("replay", workspace.runs[0], "--policy", strict, "--json")

    assert ran.status == 3
    assert ran.signal("quality/all/pass")["margin"] == 0.001
    assert digests(workspace.runs[0]) == before


def test_a_cut_run_is_resumed_to_the_same_verdict(workspace: Workspace) -> None:
    """A torn line and half a pair are asked again; nothing is lost or doubled."""
    whole = workspace.run()
    run = workspace.runs[0]
    cut_off(run, lines=101, torn=b'{"id":"c9')

    resumed = workspace.canary("run", "--resume", run, "--json")

    assert resumed.status == 0, resumed.err
    assert "cut off a torn last line" in resumed.err
    assert resumed.out == whole.out
    counts = Counter((row["id"], row["arm"]) for row in read_lines(run / "responses.jsonl"))
    assert set(counts.values()) == {1}
    assert len(counts) == 240


def test_resume_refuses_an_answer_to_no_case(workspace: Workspace) -> None:
    """A journal that holds a stranger's answers is a mistake in the evidence, not a broken gate."""
    workspace.run()
    run = workspace.runs[0]
    cut_off(run, lines=240)
    journal = run / "responses.jsonl"
    journal.write_text(
        journal.read_text() + "".join(f'{{"id":"x","arm":"{arm}","repeat":0,"output":""}}\n' for arm in ARMS)
    )

    resumed = workspace.canary("run", "--resume", run)

    assert resumed.status == 2
    assert "every 'id' must be a case of the golden set (got 'x')" in resumed.err


def test_resume_refuses_a_changed_golden_set(workspace: Workspace) -> None:
    """Answers to other questions must not be mixed in."""
    workspace.run()
    cut_off(workspace.runs[0], lines=100)
    rows = read_lines(workspace.folder / "golden" / "prompts.jsonl")
    rows[0]["expected"] = "something else"
    workspace.write("golden/prompts.jsonl", rows)

    ran = workspace.canary("run", "--resume", workspace.runs[0], "--json")

    assert ran.status == 2
    assert "the golden set changed under this run" in ran.err


def test_resume_refuses_a_changed_policy_and_a_finished_run(workspace: Workspace) -> None:
    """A policy is changed in replay, and a sealed run stays sealed."""
    workspace.run()

    finished = workspace.canary("run", "--resume", workspace.runs[0])
    cut_off(workspace.runs[0], lines=100)
    (workspace.folder / "policy.yaml").write_text("quality: {max_drop: 0.2}\n")
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "policy: policy.yaml\n")
    changed = workspace.canary("run", "--resume", workspace.runs[0])

    assert finished.status == changed.status == 2
    assert "is finished" in finished.err
    assert "'policy.quality.max_drop' changed under this run" in changed.err


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


def test_the_build_stage_asks_the_candidate_alone(workspace: Workspace) -> None:
    """A floor decides, the baseline is not asked, and structure alone is scored."""
    (workspace.folder / "policy.yaml").write_text("quality: {metrics: {pass: {min_score: 0.8}}}\n")
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "policy: policy.yaml\nstages: {build: {cases: 60}}\n")

    ran = workspace.run("--stage", "build")

    assert ran.status == 0, ran.err
    assert [s["name"] for s in ran.verdict["signals"]] == ["floor/all/pass"]
    rows = read_lines(workspace.runs[0] / "responses.jsonl")
    assert {row["arm"] for row in rows} == {"candidate"}
    assert len(rows) == 60


def test_the_build_stage_needs_a_floor(workspace: Workspace) -> None:
    """Without a floor there is nothing a candidate alone could break."""
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "stages: {build: {cases: 60}}\n")

    ran = workspace.run("--stage", "build")

    assert ran.status == 2
    assert "'min_score'" in ran.err


@pytest.mark.slow
def test_kill_9_and_resume_give_the_uninterrupted_verdict(tmp_path: Path, canary: Canary) -> None:
    """Real checkpoints, killed in the middle, finish as if nothing had happened."""
    pytest.importorskip("transformers", reason="needs canary-gate[embeddings]")
    cases = read_lines(ROOT / "golden_sets/quickstart/prompts.jsonl")[::5]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    (tmp_path / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\n")
    arms = "".join(
        f"{arm}: {{name: {name}, engine: transformers, model: {CHECKPOINTS / name}, sampling: {{max_tokens: 24}}}}\n"
        for arm, name in (("baseline", "baseline"), ("candidate", "candidate-bad"))
    )
    (tmp_path / "pipeline.yaml").write_text(f"suite: suite.yaml\n{arms}runner: local\n")
    command = [*killed_after(30), "run", "pipeline.yaml", "--runs", "cut"]

    killed = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    (journal,) = (tmp_path / "cut").glob("*/responses.jsonl")
    answered = len(journal.read_bytes().splitlines())
    resumed = canary("run", tmp_path / "pipeline.yaml", "--resume", journal.parent, "--json")
    whole = canary("run", tmp_path / "pipeline.yaml", "--runs", tmp_path / "whole", "--json")

    assert (killed.returncode, answered) == (-signal.SIGKILL, 60), killed.stderr.decode()
    assert resumed.verdict["verdict"] == whole.verdict["verdict"]
    counts = Counter((row["id"], row["arm"]) for row in read_lines(journal))
    assert counts == Counter({(case["id"], arm): 1 for case in cases for arm in ("baseline", "candidate")})
    assert quality_of(resumed) == quality_of(whole)


def quality_of(ran: Any) -> list[dict[str, Any]]:
    """What the answers alone decide; the family that p is adjusted over also holds timings."""
    timed = {"p_harm_adjusted", "reason", "need", "warnings"}
    signals = [s for s in ran.verdict["signals"] if s["kind"] == "quality"]
    return [{name: value for name, value in s.items() if name not in timed} for s in signals]


def test_repeats_beyond_the_suites_are_refused(workspace: Workspace) -> None:
    """Recorded answers that nobody would look at are not dropped in silence."""
    rows = read_lines(workspace.folder / "v2.jsonl")
    workspace.write("v2.jsonl", [*rows, *({**row, "output": "wrong", "repeat": 1} for row in rows)])

    ran = workspace.run()

    assert ran.status == 2
    assert "candidate: every 'repeat' must be below the suite's 'repeat: 1' (got 1)" in ran.err


def test_answers_edited_before_a_resume_are_refused(workspace: Workspace) -> None:
    """What is judged must be what the release's digest names."""
    workspace.run()
    run = workspace.runs[0]
    cut_off(run, lines=240)
    journal = run / "responses.jsonl"
    journal.write_text(journal.read_text().replace('"output":"7"', '"output":"8"'))

    ran = workspace.canary("run", "--resume", run, "--json")

    assert ran.status == 2
    assert "recorded outputs changed after the run began" in ran.err


def test_errors_count_in_the_build_stage_whatever_a_case_asserts(workspace: Workspace) -> None:
    """A case without a structural assertion still fails where its answer errored."""
    (workspace.folder / "grade.py").write_text("def grade(output, case):\n    return True\n")
    cases = read_lines(workspace.folder / "golden" / "prompts.jsonl")
    python = [{"type": "python", "value": f"file://{workspace.folder}/grade.py:grade"}]
    workspace.write(
        "golden/prompts.jsonl", [case if i < 30 else {**case, "assert": python} for i, case in enumerate(cases)]
    )
    error = {"kind": "server", "message": "down"}
    rows = read_lines(workspace.folder / "v2.jsonl")
    workspace.write("v2.jsonl", [row if i < 30 else {"id": row["id"], "error": error} for i, row in enumerate(rows)])
    (workspace.folder / "policy.yaml").write_text("quality: {metrics: {pass: {min_score: 0.8}}}\n")
    pipeline = workspace.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + "policy: policy.yaml\nstages: {build: {}}\n")

    ran = workspace.run("--stage", "build")

    assert ran.status == 1
    assert ran.signal("floor/all/pass")["candidate"] == pytest.approx(0.25)


def test_a_suite_s_functions_and_plugins(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """`file://` is relative to the suite, wherever one stands; the plugin's version is in the verdict's record."""
    (workspace.folder / "evals").mkdir()
    (workspace.folder / "evals/grade.py").write_text("def right(output, case):\n    return output == case.expected\n")
    (workspace.folder / "acme_nothing.py").write_text("__version__ = '1.2.3'\nASSERTIONS = {}\n")
    monkeypatch.syspath_prepend(workspace.folder)
    (workspace.folder / "evals/suite.yaml").write_text(
        "golden_sets: [../golden]\nplugins: [acme_nothing]\n"
        "assert: [{type: python, value: 'file://grade.py:right', metric: right}]\n"
    )
    text = (workspace.folder / "pipeline.yaml").read_text()
    (workspace.folder / "pipeline.yaml").write_text(text.replace("suite: suite.yaml", "suite: evals/suite.yaml"))

    ran = workspace.run()

    assert ran.status == 0, ran.err
    assert ran.verdict["record"]["plugins"] == {"acme_nothing": "1.2.3"}
    assert {row["metric"] for row in read_lines(workspace.runs[0] / "scores.jsonl")} == {"right", "pass"}
