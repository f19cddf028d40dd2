"""The run directory: what was written is what is judged, or it is said why not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from canary.codec import encode, golden_digest
from canary.engines.replay import read_responses
from canary.errors import EvidenceError
from canary.evidence import (
    EVIDENCE,
    RunDirectory,
    check_files,
    check_neighbours,
    create_run,
    load_evidence,
    load_plan,
    load_run,
    new_run,
    removed_neighbours,
    resume,
    run_id,
    seal,
    write_records,
)
from canary.journal import Journal
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, StratumPlan
from canary.policy import Policy, QualityRule
from canary.records import Arm, Evidence, Observation, Prompt, Response, Scale, Score

NOW = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
PROMPTS = tuple(
    Prompt(
        id=f"c{i}",
        digest=f"{i:064x}",
        stratum="all-of-them",
        cluster=f"c{i}",
        vars={"question": f"{i}?"},
        messages=None,
        expected=str(i),
        asserts=({"type": "equals", "value": str(i)},),
    )
    for i in range(3)
)
RESPONSES = tuple(Response(id=prompt.id, arm=arm, output="x\u2028", ttft_s=0.1) for prompt in PROMPTS for arm in Arm)
SCORES = tuple(
    Score(id=r.id, arm=r.arm, repeat=0, metric=metric, scale=Scale.PASS_FAIL, value=1.0, passed=True)
    for r in RESPONSES
    for metric in ("exact", "pass")
)
PLAN = Plan(
    stage="staging",
    baseline=ReleasePlan(name="v1", digest="1" * 64, release={"engine": "replay", "model": "small"}),
    candidate=ReleasePlan(name="v2", digest="2" * 64, release={"engine": "replay", "model": "small"}),
    policy=Policy(),
    suite=Suite.model_validate({"golden_sets": ["golden_sets/x"], "assert": [{"type": "equals", "value": "x"}]}),
    strata=(StratumPlan(name="all-of-them", cases=3, weight=1.0),),
    golden_sha256=golden_digest(PROMPTS),
    seed=7,
    versions={"python": "3.11"},
)


def verify(path: Path) -> list[str]:
    """What speaks against a run."""
    return [*check_files(path), *check_neighbours(path)]


def fill(run: RunDirectory) -> RunDirectory:
    """Everything a run writes before it is sealed."""
    with Journal.open(run.responses) as journal:
        for baseline, candidate in zip(RESPONSES[::2], RESPONSES[1::2], strict=True):
            journal.append(baseline, candidate)
    write_records(run.scores, SCORES)
    run.write("verdict.json", '{"verdict": "promote"}\n')
    run.write("summary.md", "promote\n")
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder of all runs."""
    return tmp_path / "runs"


@pytest.fixture
def open_run(runs: Path) -> RunDirectory:
    """A run that has everything but its seal."""
    return fill(new_run(runs, PLAN, PROMPTS, NOW))


@pytest.fixture
def run(open_run: RunDirectory) -> RunDirectory:
    """A finished run."""
    seal(open_run)
    return open_run


def problems(call: Callable[[], object]) -> tuple[str, ...]:
    """What this call refuses to do, and why."""
    with pytest.raises(EvidenceError) as caught:
        call()
    return caught.value.problems


def test_files_of_a_run() -> None:
    """The names are a contract: other programs read them."""
    run = RunDirectory(Path("r"))
    named = (run.plan, run.prompts, run.responses, run.scores, run.telemetry, run.verdict, run.summary, run.manifest)

    assert [path.as_posix() for path in named] == [
        "r/plan.json",
        "r/prompts.jsonl",
        "r/responses.jsonl",
        "r/scores.jsonl",
        "r/telemetry.jsonl",
        "r/verdict.json",
        "r/summary.md",
        "r/manifest.json",
    ]


def test_run_id_is_time_and_plan() -> None:
    """A run is named by its start in UTC and its plan."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))

    assert run_id(PLAN, elsewhere) == f"20260301T123005Z-{PLAN.digest()[:8]}"


def test_two_runs_in_one_second(runs: Path) -> None:
    """A directory is never used twice."""
    names = [new_run(runs, PLAN, PROMPTS, NOW).path.name for _ in range(3)]

    assert names == [run_id(PLAN, NOW), f"{run_id(PLAN, NOW)}-2", f"{run_id(PLAN, NOW)}-3"]


def test_filled_directory_is_not_reused(tmp_path: Path) -> None:
    """A directory named by the user must be empty, and the error says how to go on."""
    create_run(tmp_path / "out", PLAN, PROMPTS)

    (problem,) = problems(lambda: create_run(tmp_path / "out", PLAN, PROMPTS))

    assert "out is not empty; choose another directory, or continue it with canary run --resume" in problem


def test_empty_directory_is_used(tmp_path: Path) -> None:
    """An empty directory is as good as none."""
    assert create_run(tmp_path, PLAN, PROMPTS).plan.is_file()


def test_plan_survives(open_run: RunDirectory) -> None:
    """The stored plan is the plan, and the same plan is the same bytes."""
    assert load_plan(open_run) == PLAN
    assert load_plan(open_run).digest() == PLAN.digest()
    assert json.loads(open_run.plan.read_bytes())["suite"]["assert"] == [{"type": "equals", "value": "x"}]


def test_finished_run_is_loaded(run: RunDirectory) -> None:
    """Plan and evidence of a finished run come back equal."""
    assert load_run(run.path) == (PLAN, Evidence(prompts=PROMPTS, responses=RESPONSES, scores=SCORES))
    assert verify(run.path) == []


def test_answers_are_recorded_outputs(run: RunDirectory) -> None:
    """The journal of a run can be given to the replay engine, arm by arm."""
    for arm in Arm:
        assert read_responses(run.responses, arm) == tuple(r for r in RESPONSES if r.arm == arm)


def test_hostile_text_in_a_report(open_run: RunDirectory) -> None:
    """A lone surrogate in a document is written as its escape, which JSON reads back."""
    open_run.write("verdict.json", '{"reason": "\ud800"}')

    assert json.loads(open_run.verdict.read_bytes()) == {"reason": "\ud800"}


def test_half_written_file_is_not_there(open_run: RunDirectory) -> None:
    """A file is replaced at once: a failure while writing leaves the old one, and no part of the run."""
    bad = replace(SCORES[0], value=float("nan"))

    problems(lambda: write_records(open_run.scores, [SCORES[0], bad]))

    assert open_run.scores.read_bytes() == b"".join(map(encode, SCORES))
    seal(open_run)
    assert verify(open_run.path) == []


def test_unsealed_run_says_so(open_run: RunDirectory) -> None:
    """A run without its seal is not finished; replay and verify say how to go on."""
    told = (
        f"{open_run.path} is not finished: it has no manifest.json; continue with canary run --resume {open_run.path}"
    )

    assert problems(lambda: load_run(open_run.path)) == (f"{told}, or run again",)
    assert verify(open_run.path) == [f"{told}, or run again"]


@pytest.mark.parametrize("name", [*EVIDENCE, "verdict.json"])
def test_incomplete_run_is_not_sealed(open_run: RunDirectory, name: str) -> None:
    """A run is sealed only with everything a verdict rests on."""
    (open_run.path / name).unlink()

    (problem,) = problems(lambda: seal(open_run))

    assert f"is not finished: {name} missing" in problem
    assert not open_run.manifest.exists()


def test_sealing_twice(run: RunDirectory) -> None:
    """A sealed run stays as it is."""
    assert problems(lambda: seal(run)) == (f"{run.path} is already sealed",)


@pytest.mark.parametrize("name", [*EVIDENCE, "verdict.json", "summary.md"])
def test_changed_file_is_found(run: RunDirectory, name: str) -> None:
    """One changed byte in any file is named with both digests."""
    file = run.path / name
    file.write_bytes(file.read_bytes().replace(b"0", b"9", 1) + b" ")

    (problem,) = verify(run.path)

    assert problem.startswith(f"{name} changed: the manifest has sha256 ")
    if name in EVIDENCE:
        assert problems(lambda: load_run(run.path)) == (f"{run.path}: {problem}",)
    else:
        assert load_run(run.path)[0] == PLAN


@pytest.mark.parametrize("name", [*EVIDENCE, "verdict.json", "summary.md"])
def test_missing_file_is_found(run: RunDirectory, name: str) -> None:
    """A file that is gone is named."""
    (run.path / name).unlink()

    (problem,) = verify(run.path)

    assert problem.startswith(f"{name} is missing (the manifest has sha256 ")
    if name in EVIDENCE:
        assert problems(lambda: load_run(run.path)) == (f"{run.path}: {problem}",)


def test_added_file_is_found(run: RunDirectory) -> None:
    """A file that came after the seal is named, in folders too; hidden ones are no part of a run."""
    (run.path / "more").mkdir()
    (run.path / "more" / "notes.txt").write_text("promote it anyway")
    (run.path / ".lock").touch()

    assert verify(run.path) == ["more/notes.txt was added after the run was sealed (it is not in the manifest)"]


@pytest.mark.parametrize("content", ["", "{}", '{"schema": "canary-gate/manifest/9"}', "\ufeff", "[" * 100_000])
def test_broken_manifest(run: RunDirectory, content: str) -> None:
    """A manifest that is none is said to be none."""
    run.manifest.write_text(content)

    assert verify(run.path) == [f"{run.manifest} is broken, or another version wrote it"]


def test_manifest_that_leaves_evidence_out(run: RunDirectory) -> None:
    """Taking a file out of the manifest does not hide a change to it."""
    document = json.loads(run.manifest.read_bytes())
    del document["files"]["scores.jsonl"]
    run.manifest.write_text(json.dumps(document))

    told = "scores.jsonl was added after the run was sealed (it is not in the manifest)"
    assert verify(run.path) == [told]
    assert problems(lambda: load_run(run.path)) == (f"{run.path}: {told}",)


def test_forged_record_breaks_the_chain(runs: Path, run: RunDirectory) -> None:
    """Changing a run together with its manifest shows in the record sealed after it."""
    later = fill(new_run(runs, PLAN, PROMPTS, NOW + timedelta(hours=1)))
    seal(later)
    assert verify(run.path) == verify(later.path) == []

    run.write("verdict.json", '{"verdict": "rollback"}\n')
    run.manifest.unlink()
    seal(run)

    for path in (run.path, later.path):
        told = verify(path)
        assert any(f"record {run.path.name}, on which {later.path.name} was sealed" in problem for problem in told)


def test_removed_record_is_named(runs: Path, run: RunDirectory) -> None:
    """A run that was removed is named by the one sealed after it, which is itself as it was."""
    later = fill(new_run(runs, PLAN, PROMPTS, NOW + timedelta(hours=1)))
    seal(later)

    run.manifest.unlink()

    assert verify(later.path) == []
    (told,) = removed_neighbours(later.path)
    assert told.startswith(f"record {run.path.name} (sha256 ")
    assert told.endswith(f"), on which {later.path.name} was sealed, is no longer in this folder")


def test_seal_is_the_next_link(runs: Path, run: RunDirectory) -> None:
    """Sealing returns the sha256 by which the next record names this one."""
    later, last = (fill(new_run(runs, PLAN, PROMPTS, NOW + timedelta(hours=i))) for i in (1, 2))

    sealed = seal(later)
    seal(last)

    previous = json.loads(last.manifest.read_bytes())["previous"]
    assert previous == {"run": later.path.name, "sha256": sealed}
    assert json.loads(later.manifest.read_bytes())["previous"]["run"] == run.path.name


def test_runs_sealed_at_once_make_one_chain(runs: Path) -> None:
    """Processes that seal at the same time follow each other."""
    paths = [fill(new_run(runs, PLAN, PROMPTS, NOW)).path for _ in range(6)]
    script = (
        "import sys; from pathlib import Path; from canary.evidence import *; seal(RunDirectory(Path(sys.argv[1])))"
    )

    started = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for path in paths]

    assert [process.wait() for process in started] == [0] * 6
    assert verify(paths[0]) == []


def test_relative_path_finds_its_neighbours(runs: Path, run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain is found from inside the run too."""
    later = fill(new_run(runs, PLAN, PROMPTS, NOW))
    seal(later)
    run.manifest.unlink()
    monkeypatch.chdir(later.path)

    (told,) = removed_neighbours(Path())

    assert "is no longer in this folder" in told


def test_no_such_run(tmp_path: Path) -> None:
    """A path that is no directory is said to be none."""
    assert problems(lambda: load_run(tmp_path / "x")) == (f"{tmp_path / 'x'} is no directory",)
    assert verify(tmp_path / "x") == [f"{tmp_path / 'x'} is no directory"]


def rewrite(name: str, *records: Prompt | Response | Score) -> Callable[[RunDirectory], None]:
    """Breaks a run by writing other records into one of its files."""
    return lambda run: write_records(run.path / name, records)


BROKEN: dict[str, tuple[Callable[[RunDirectory], object], str]] = {
    "no scores yet": (lambda run: run.scores.unlink(), "is not finished: scores.jsonl missing"),
    "no answers": (lambda run: run.responses.unlink(), "is not finished: responses.jsonl missing"),
    "a case less": (rewrite("prompts.jsonl", *PROMPTS[:2]), "holds other cases than plan.json: golden_sha256 "),
    "a case twice": (rewrite("prompts.jsonl", *PROMPTS, PROMPTS[1]), "case 'c1' stands there 2 times"),
    "an unknown case": (
        rewrite("responses.jsonl", *RESPONSES, replace(RESPONSES[0], id="c9")),
        "responses.jsonl: 'c9' is no case of this run",
    ),
    "an answer twice": (
        rewrite("responses.jsonl", *RESPONSES, RESPONSES[3]),
        "responses.jsonl: c1 candidate 0 stands there 2 times",
    ),
    "a score twice": (
        rewrite("scores.jsonl", *SCORES, replace(SCORES[0], value=0.0)),
        "scores.jsonl: c0 baseline 0 exact stands there 2 times",
    ),
    "a score of nothing": (
        rewrite("scores.jsonl", *SCORES, replace(SCORES[0], repeat=1)),
        "scores.jsonl: a score of an answer that is not there: c0 baseline 1",
    ),
    "a torn answer": (
        lambda run: run.responses.write_bytes(run.responses.read_bytes()[:-5]),
        "responses.jsonl:6: the last line is torn",
    ),
    "a broken score": (
        lambda run: run.scores.write_bytes(run.scores.read_bytes().replace(b"1.0", b"NaN", 1)),
        "scores.jsonl:1: 'value': Input should be a finite number",
    ),
}


@pytest.mark.parametrize(("how", "problem"), BROKEN.values(), ids=BROKEN)
def test_broken_evidence_is_named(open_run: RunDirectory, how: Callable[[RunDirectory], object], problem: str) -> None:
    """Evidence that does not fit its own plan is refused, saying what and where."""
    how(open_run)

    told = problems(lambda: load_evidence(open_run, PLAN))

    assert any(problem in one for one in told), told


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "Expecting value"),
        ("[]", "'schema' must be canary-gate/plan/1 (got None)"),
        ('{"schema": "canary-gate/plan/2"}', "'schema' must be canary-gate/plan/1 (got canary-gate/plan/2)"),
        ('{"schema": "canary-gate/plan/1"}', "plan.json: 'stage': Field required"),
    ],
)
def test_broken_plan_is_named(open_run: RunDirectory, content: str, problem: str) -> None:
    """A plan that cannot be read says why."""
    open_run.plan.write_text(content)

    assert problem in problems(lambda: load_plan(open_run))[0]


def test_directory_without_plan(tmp_path: Path) -> None:
    """A directory without a plan is no run."""
    assert problems(lambda: load_plan(RunDirectory(tmp_path))) == (
        f"{tmp_path} is no run directory: plan.json is missing",
    )


def test_bottomless_plan(open_run: RunDirectory) -> None:
    """A plan nested too deeply is an error, not a crash."""
    open_run.plan.write_text("[" * 200_000)

    assert problems(lambda: load_plan(open_run))


def test_same_plan_goes_on(open_run: RunDirectory) -> None:
    """A run goes on under the plan it was started with."""
    assert resume(open_run, PLAN) == ()


def changed(**fields: Any) -> Plan:
    """The plan with other fields."""
    return PLAN.model_copy(update=fields)


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        (
            changed(golden_sha256="f"),
            f'the golden set changed under this run: plan.json has "{PLAN.golden_sha256}", no',
        ),
        (changed(seed=8), "'seed' changed under this run: plan.json has 7, now 8; start a new run, or restore it"),
        (changed(stage="build"), '\'stage\' changed under this run: plan.json has "staging", now "build"'),
        (
            changed(policy=Policy(quality=QualityRule(max_drop=0.5))),
            "'policy.quality.max_drop' changed under this run: plan.json has 0.03, now 0.5",
        ),
        (
            changed(candidate=ReleasePlan(name="v2", digest="3" * 64, release={"engine": "replay", "model": "big"})),
            '\'candidate.release.model\' changed under this run: plan.json has "small", now "big"',
        ),
        (
            changed(suite=Suite(golden_sets=("x",), repeat=2)),
            "'suite.repeat' changed under this run: plan.json has 1, n",
        ),
        (changed(strata=()), "'strata' changed under this run: plan.json has [{"),
    ],
)
def test_another_question_is_refused(open_run: RunDirectory, plan: Plan, problem: str) -> None:
    """A run does not go on under another question, and each change is named."""
    told = problems(lambda: resume(open_run, plan))

    assert any(problem in one for one in told), told


def test_every_change_is_named(open_run: RunDirectory) -> None:
    """All changes are told at once."""
    assert len(problems(lambda: resume(open_run, changed(seed=8, golden_sha256="f", stage="build")))) == 3


@pytest.mark.parametrize(
    ("plan", "warnings"),
    [
        (changed(suite=PLAN.suite.model_copy(update={"golden_sets": ("/moved/x",)})), ()),
        (changed(warnings=("slow",), pipeline="/moved/p.yaml"), ()),
        (changed(candidate=PLAN.candidate.model_copy(update={"release": {"responses": "/moved/v2.jsonl"}})), ()),
        (changed(concurrency=4), ("'concurrency' changed under this run: plan.json has 1, now 4",)),
        (changed(versions={}), ("'versions.python' changed under this run: plan.json has \"3.11\", now null",)),
    ],
)
def test_other_surroundings_are_told(open_run: RunDirectory, plan: Plan, warnings: tuple[str, ...]) -> None:
    """Moved files change nothing; another machine is a warning, as both arms of a pair still share it."""
    assert resume(open_run, plan) == warnings


def test_finished_run_does_not_go_on(run: RunDirectory) -> None:
    """A finished run is replayed, not resumed."""
    (problem,) = problems(lambda: resume(run, PLAN))

    assert "is finished; judge it again with canary replay" in problem


def test_resume_checks_the_stored_cases(open_run: RunDirectory) -> None:
    """A run whose stored cases are not the plan's does not go on."""
    write_records(open_run.prompts, PROMPTS[1:])
    assert "holds other cases than plan.json" in problems(lambda: resume(open_run, PLAN))[0]

    open_run.prompts.unlink()
    assert "prompts.jsonl is missing" in problems(lambda: resume(open_run, PLAN))[0]


def test_an_observation_counts_once(run: RunDirectory) -> None:
    """Ten copies of one sample are no ten samples."""
    seen = Observation(arm=Arm.CANDIDATE, replica=0, at=5.0, values={"cpu": 0.5})
    write_records(run.observations, [seen] * 10)

    (problem,) = problems(lambda: load_evidence(run, PLAN))

    assert problem == f"{run.observations}: candidate 0 5.0 stands there 10 times"
