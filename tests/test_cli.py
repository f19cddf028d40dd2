"""What the command line says and answers, beside what its commands compute."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary import cli
from canary.cli.status import Exit
from tests.jsonl import write_jsonl

Canary = Callable[..., Any]
RECORDED = ("pipelines/recorded/baseline.jsonl", "pipelines/recorded/candidate.jsonl")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canary: Canary) -> Path:
    """The shipped workspace as the working folder."""
    monkeypatch.chdir(tmp_path)
    assert canary("init").status == 0
    return tmp_path


def record(run: Path) -> str:
    """The line that names a sealed run and its digest."""
    return f"run: {run} (sha256 {hashlib.sha256((run / 'manifest.json').read_bytes()).hexdigest()})"


def test_a_run_prints_the_digest_of_its_record(canary: Canary) -> None:
    """Whoever keeps this line can prove later that the record is the one written."""
    ran = canary("run")

    (run,) = Path("runs").iterdir()
    assert ran.err.splitlines()[-2:] == [f"report: {run / 'report.html'}", record(run)]


def test_a_record_says_what_its_cases_are(canary: Canary) -> None:
    """plan.json holds the digest, licence and sensitivity of each file the cases came from."""
    assert canary("compare", *RECORDED, "--golden", "golden_sets/quickstart", "--out", "kept").err

    (source,) = json.loads(Path("kept/plan.json").read_text())["golden_sets"]
    data = Path("golden_sets/quickstart/prompts.jsonl").read_bytes()
    assert source["sha256"] == hashlib.sha256(data).hexdigest()
    assert (source["name"], source["licence"], source["sensitivity"]) == ("quickstart", "Apache-2.0", "public")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("compare b c --goldn g", "canary compare: error: unrecognized arguments: --goldn g; did you mean '--golden'?"),
        ("calibrate noise p --agan=x", "canary calibrate noise: error: unrecognized arguments: --agan=x; did you mean"),
        ("run a b", "canary run: error: unrecognized arguments: b\n"),
        ("--verzion run", "canary: error: unrecognized arguments: --verzion; did you mean '--version'?"),
    ],
)
def test_an_unknown_option_is_refused_by_the_command_it_was_given(
    capfd: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    """With the usage of that command, and the option that looks most like it."""
    status = cli.main(arguments.split(), sys.stdout, sys.stderr)

    err = capfd.readouterr().err
    assert status == Exit.USAGE
    assert said in err
    assert err.startswith(f"usage: {said.partition(':')[0]} [-h]")


@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_recorded_answers_cannot_be_graded_by_is_found_first(canary: Canary, command: str) -> None:
    """A template that no case can fill stops the plan, and the run before it has a folder; own grades need none."""
    suite = Path("evals/recorded.yaml")
    suite.write_text(suite.read_text() + 'assert: [{type: equals, value: "{{expectd}}", metric: typo}]\n')
    refused = canary(command)
    answers = Path("pipelines/recorded/candidate.jsonl")
    lines = [json.loads(line) | {"scores": {"typo": True}} for line in answers.read_text().splitlines()]
    write_jsonl(answers, lines)
    graded = canary(command)

    said = "the value of 'typo' cannot be filled in from the case: 'expectd' is undefined (also in 749 other cases)"
    assert refused.status == Exit.USAGE
    assert refused.err.endswith(f"{said}\n")
    assert refused.err.count("\n") == 1
    assert "'expectd'" not in graded.err


def test_one_file_given_twice_is_warned_of(canary: Canary) -> None:
    """Nothing tells such arms apart, and the verdict is about no candidate."""
    twice = canary("compare", RECORDED[0], RECORDED[0], "--golden", "golden_sets/quickstart")
    once = canary("compare", *RECORDED, "--golden", "golden_sets/quickstart")

    assert "warning: both arms have the very same answers" in twice.out
    assert "very same answers" not in once.out


def test_answers_to_no_case_are_told_with_their_file(canary: Canary) -> None:
    """An id that the golden set lacks is looked for in the file that holds it."""
    Path("c.jsonl").write_text('{"id": "nobody", "output": ""}\n')
    compared = canary("compare", RECORDED[0], "c.jsonl", "--golden", "golden_sets/quickstart")

    assert compared.status == Exit.USAGE
    assert compared.err == "canary: c.jsonl: every 'id' must be a case of the golden set (got 'nobody')\n"


@pytest.mark.parametrize("out", ["taken", "taken/run"])
def test_a_file_where_a_folder_should_be_is_named(canary: Canary, out: str) -> None:
    """With what was expected there."""
    Path("taken").write_text("")
    compared = canary("compare", *RECORDED, "--golden", "golden_sets/quickstart", "--out", out)

    assert compared.status == Exit.USAGE
    assert compared.err.startswith(f"canary: {out} must be a folder, there already or not (got a file")


def test_a_kept_comparison_prints_the_digest_of_its_record(canary: Canary) -> None:
    """What `compare --out` and `replay --out` write is sealed like a run, and they say so."""
    compared = canary("compare", *RECORDED, "--golden", "golden_sets/quickstart", "--out", "kept")
    replayed = canary("replay", "kept", "--out", "again")

    assert compared.err.splitlines()[-1] == record(Path("kept"))
    assert replayed.err.splitlines()[-1] == record(Path("again"))


@pytest.mark.parametrize(("folder", "advice"), [(".", "canary run"), ("a b", "cd 'a b' && canary run")])
def test_init_says_what_to_type_next(canary: Canary, folder: str, advice: str) -> None:
    """The command works as it is printed, from the folder the user is in."""
    assert f"next: {advice}  " in canary("init", folder, "--force").out


def test_plan_says_when_it_cannot_tell_the_time(canary: Canary) -> None:
    """Without a calibration of live releases the time is unknown, and the plan says how to measure it."""
    live = "{name: a, engine: openai, model: m, base_url: 'http://localhost:9'}"
    pipeline = Path("pipelines/live.yaml")
    pipeline.write_text(f"suite: ../evals/recorded.yaml\nbaseline: {live}\ncandidate: {live}\n")

    planned = canary("plan", pipeline, "--allow-underpowered")

    assert "time: unknown until measured: canary calibrate noise pipelines/live.yaml\n" in planned.out, planned.err
    assert "time:" not in canary("plan").out


def test_resume_refuses_what_the_run_has_decided(canary: Canary) -> None:
    """A stage or folder beside --resume would be ignored, so it is an error that says why."""
    ran = canary("run", "--resume", "runs/r", "--stage", "build", "--runs", "elsewhere")

    assert ran.status == Exit.USAGE
    assert [line.split(" must")[0] for line in ran.err.splitlines()] == ["canary: '--stage'", "canary: '--runs'"]
    assert "goes on as and where it began" in ran.err


@pytest.mark.parametrize(
    ("command", "cut_off", "said"),
    [
        ("run", ("runs/r",), "canary: interrupted; go on with canary run --resume runs/r\n"),
        ("run", (), "canary: interrupted\n"),
        ("plan", (), "canary: interrupted\n"),
    ],
)
def test_an_interrupt_is_no_verdict(
    command: str, cut_off: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control-C answers 130, which the help explains, and advises to resume only what can be."""

    def stop(*_: object) -> int:
        raise KeyboardInterrupt(*cut_off)

    monkeypatch.setattr(importlib.import_module(f"canary.cli.{command}"), f"_{command}", stop)
    err = io.StringIO()

    assert cli.main([command], io.StringIO(), err) == 130
    assert err.getvalue() == said
    assert "130  interrupted" in cli.EPILOG


@pytest.mark.parametrize(
    ("is_kept", "said"),
    [(True, "canary: interrupted; go on with canary run --resume runs/r\n"), (False, "canary: interrupted\n")],
)
def test_one_more_interrupt_does_not_forget_the_run(
    is_kept: bool,  # noqa: FBT001
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Control-C on the way out of the first; a run that was taken away is not what there is to go on with."""

    def cut_off() -> int:
        raise KeyboardInterrupt("runs/r")

    def stop(*_: object) -> int:
        try:
            return cut_off()
        except KeyboardInterrupt:
            if is_kept:
                raise KeyboardInterrupt  # noqa: B904 - as Python raises it
            raise KeyboardInterrupt from None

    monkeypatch.setattr(importlib.import_module("canary.cli.run"), "_run", stop)
    err = io.StringIO()

    assert cli.main(["run"], io.StringIO(), err) == 130
    assert err.getvalue() == said


def test_a_folder_without_a_workspace_is_told_how_to_get_one(
    canary: Canary, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default pipeline is only there after `canary init`."""
    monkeypatch.chdir(here / "evals")

    ran = canary("run")

    assert ran.status == 2
    assert "put a workspace here with 'canary init'" in ran.err


@pytest.mark.parametrize(
    "command",
    [
        ("compare", *RECORDED, "--golden", "golden_sets/quickstart", "--out", "taken"),
        ("run", "--runs", "taken"),
        ("plan", "p" * 5000),
        ("compare", "loop", "loop", "--golden", "golden_sets/quickstart"),
    ],
)
def test_a_path_that_cannot_be_used_is_a_usage_error(canary: Canary, command: tuple[str, ...]) -> None:
    """A file where a folder should be, an endless link or an impossible name: one line, exit 2."""
    Path("taken").write_text("")
    Path("loop").symlink_to("loop")

    ran = canary(*command)

    assert ran.status == Exit.USAGE
    assert len(ran.err.splitlines()) == 1, ran.err


def test_a_closed_output_is_said_and_no_verdict() -> None:
    """`canary compare ... | head` ends with a sentence, no traceback; 4, as what was decided reached nobody."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "canary", "compare", *RECORDED, "--golden", "golden_sets/quickstart", "--json"]

    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)

    assert ended.returncode == 4
    assert ended.stderr == "canary: standard output was closed before all was written\n"


def test_a_file_that_may_not_grow_is_said_in_one_line(tmp_path: Path) -> None:
    """A limit on a file's size is a full disk to whoever meets it."""
    script = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)); import canary.cli as c; "
    arguments = ["compare", *RECORDED, "--golden", "golden_sets/quickstart", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-c", f"{script}sys.exit(c.main({arguments!r}, sys.stdout, sys.stderr))"]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 4
    assert "File too large; nothing was decided\n" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device of this system is always full")
def test_a_full_disk_is_said_in_one_line() -> None:
    """It is nobody's mistake and no verdict, and a traceback would not help."""
    command = [sys.executable, "-m", "canary", "compare", *RECORDED, "--golden", "golden_sets/quickstart", "--json"]

    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert ended.returncode == 4
    assert ended.stderr == "canary: what is written: No space left on device; nothing was decided\n"
