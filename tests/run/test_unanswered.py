"""Runs that fail: what was answered is kept, and where nothing was nothing is left behind."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.errors import EngineError
from canary.evidence import RunDirectory, new_run
from canary.journal import Journal
from canary.records import Arm, Response
from canary.run.load import Loaded, load
from canary.run.sequence import SPOOL
from canary.run.unanswered import kept_if_answered
from tests.engines.conftest import Reply, Seen, StandIn, refuse, serving, words
from tests.jsonl import write_jsonl

Canary = Callable[..., Any]
CASES = 40


def answer(seen: Seen) -> Reply:
    """The model `locked` wants a key; `late` wants one after 30 cases."""
    _, number = seen.body["messages"][-1]["content"].split()
    is_locked = seen.body["model"] == "locked" or (seen.body["model"] == "late" and int(number) > 30)
    return refuse(401, {"message": "no key"}) if is_locked else words(number)


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    """The stand-in, serving from a thread of its own."""
    with serving(answer) as stand_in:
        yield stand_in


@pytest.fixture
def pipeline(tmp_path: Path, server: StandIn) -> Callable[..., Path]:
    """A pipeline whose candidate is the model named."""
    cases = [{"id": f"c{i:02}", "vars": {"prompt": f"say {i}"}, "expected": str(i)} for i in range(CASES)]
    write_jsonl(tmp_path / "prompts.jsonl", cases)
    (tmp_path / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\n")

    def write(model: str, baseline: str = "good") -> Path:
        arms = "".join(
            f"{arm}: {{name: {name}, engine: openai, model: {name}, base_url: {server.url}/v1, "
            "prompt: [{role: user, content: '{{prompt}}'}]}\n"
            for arm, name in (("baseline", baseline), ("candidate", model))
        )
        path = tmp_path / "p.yaml"
        path.write_text(f"suite: suite.yaml\n{arms}runner: local\nconcurrency: 1\nwarmup: 0\n")
        return path

    return write


@pytest.fixture
def started(tmp_path: Path, pipeline: Callable[..., Path]) -> tuple[RunDirectory, Loaded]:
    """A run directory as it is before the first answer."""
    loaded = load(pipeline("good"), stage="staging")
    return new_run(tmp_path / "runs", loaded.plan, loaded.golden.prompts), loaded


def failed(run: RunDirectory, error: BaseException) -> tuple[BaseException, str]:
    """What is raised, and said, where the run fails by `error`."""
    err = io.StringIO()
    with pytest.raises(type(error)) as raised, kept_if_answered(run, err):
        raise error
    return raised.value, err.getvalue()


def test_a_run_that_never_began_leaves_nothing(pipeline: Callable[..., Path], tmp_path: Path, canary: Canary) -> None:
    """The error stands alone, in words; neither `run` nor `calibrate noise` leaves a folder."""
    ran = canary("run", pipeline("locked"), "--runs", tmp_path / "runs")
    calibrated = canary("calibrate", "noise", pipeline("good", "locked"), "--runs", tmp_path / "runs")

    assert ran.status == calibrated.status == 4
    assert "no key" in ran.err.splitlines()[-1]
    assert "nothing was answered, so" in ran.err
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_that_fails_later_is_kept_and_resumed(
    pipeline: Callable[..., Path], tmp_path: Path, canary: Canary
) -> None:
    """What both arms answered stays, and is not asked again."""
    ran = canary("run", pipeline("late"), "--runs", tmp_path / "runs")
    (run,) = (tmp_path / "runs").iterdir()
    answered = len((run / "responses.jsonl").read_bytes().splitlines())

    assert ran.status == 4
    assert "is not kept" not in ran.err
    assert 0 < answered < 2 * CASES
    again = canary("run", "--resume", run)
    assert again.status == 4
    assert run.is_dir()


def test_an_interrupt_before_the_first_answer_says_nothing_of_resuming(
    started: tuple[RunDirectory, Loaded],
) -> None:
    """There is no run to go on with."""
    run, _ = started

    error, said = failed(run, KeyboardInterrupt(str(run.path)))

    assert error.args == ()
    assert said == f"nothing was answered, so {run.path} is not kept\n"
    assert not run.path.exists()


@pytest.mark.parametrize("name", ["responses.jsonl", SPOOL, "observations.jsonl"])
def test_what_holds_evidence_is_kept(name: str, started: tuple[RunDirectory, Loaded]) -> None:
    """An answer of either arm, and what a server said of itself, may be all there is."""
    run, loaded = started
    case = loaded.golden.prompts[0].id
    answers = [Response(id=case, arm=arm, output="1") for arm in Arm]
    with Journal.open(run.responses) as journal:
        journal.append(*answers)
    (run.path / name).write_bytes(run.responses.read_bytes())
    if name != run.responses.name:
        run.responses.write_bytes(b"")

    _, said = failed(run, EngineError("it does not come up"))

    assert said == ""
    assert (run.path / name).stat().st_size


def test_what_another_process_goes_on_with_is_kept(started: tuple[RunDirectory, Loaded]) -> None:
    """Whoever holds its lock has it."""
    run, _ = started

    with Journal.open(run.responses):
        failed(run, EngineError("it does not come up"))

    assert run.plan.is_file()
