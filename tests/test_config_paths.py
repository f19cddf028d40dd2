"""Reading what users write: what a file names, and its secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from canary.config import load_pipeline, load_suite
from canary.errors import ConfigError
from canary.pipeline import RayRunner
from canary.release import OpenAIRelease, ReplayRelease, TransformersRelease, Turn
from tests.config_files import here, problems

__all__ = ["here"]  # fixture

# --- what a file names ---------------------------------------------------------------------------------------


def pipeline(folder: Path, baseline: str, candidate: str = "{name: c, engine: replay, responses: r.jsonl}") -> Path:
    """A pipeline in `folder/pipes` over a suite and policy in `folder/evals`."""
    for name in ("evals", "pipes"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "evals/suite.yaml").write_text("golden_sets: [../golden]\n")
    (folder / "evals/policy.yaml").write_text("version: 1\n")
    (folder / "pipes/r.jsonl").write_text("")
    path = folder / "pipes/p.yaml"
    named = "suite: ../evals/suite.yaml\npolicy: ../evals/policy.yaml\n"
    path.write_text(f"{named}baseline: {baseline}\ncandidate: {candidate}\n")
    return path


def test_paths_are_relative_to_the_file_that_names_them(here: Path) -> None:
    """Suite, policy, golden sets and recorded outputs are found from anywhere."""
    path = pipeline(here, "{name: b, engine: replay, responses: ./r.jsonl}")
    (here / "golden").mkdir()
    loaded = load_pipeline(path)
    assert (loaded.suite, loaded.policy) == (str(here / "evals/suite.yaml"), str(here / "evals/policy.yaml"))
    assert isinstance(loaded.baseline, ReplayRelease)
    assert loaded.baseline.responses == str(here / "pipes/r.jsonl")
    assert load_suite(loaded.suite).golden_sets == (str(here / "golden"),)


def test_what_a_file_names_must_be_there(here: Path) -> None:
    """Missing files are found before anything runs, all of them at once."""
    (here / "empty.yaml").write_text("\n")
    text = """\
suite: nowhere.yaml
policy: empty.yaml
baseline: {name: b, engine: replay, responses: r.jsonl}
candidate: {name: c, engine: transformers, model: ./weights, prompt: file://p.txt}
"""
    assert problems(load_pipeline, text) == [
        "f.yaml:1: 'suite' names nowhere.yaml, which does not exist",
        "f.yaml:2: 'policy' names empty.yaml, which is empty; delete the option to use the defaults",
        "f.yaml:3: 'baseline.responses' names r.jsonl, which does not exist",
        "f.yaml:4: 'candidate.model' names weights, which does not exist",
        "f.yaml:4: 'candidate.prompt' names p.txt, which does not exist",
    ]
    assert problems(load_suite, "golden_sets: [nowhere]") == [
        "f.yaml:1: 'golden_sets[0]' names nowhere, which does not exist"
    ]


def test_what_a_file_names_must_last(here: Path) -> None:
    """A pipe that nobody writes to would be waited for, and a device filled the memory; through a link as well."""
    os.mkfifo(here / "pipe.jsonl")
    (here / "zero.jsonl").symlink_to("/dev/zero")
    text = """\
suite: pipe.jsonl
baseline: {name: b, engine: replay, responses: zero.jsonl}
candidate: {name: c, engine: transformers, model: org/name, prompt: file://pipe.jsonl}
load: {shape: trace, file: pipe.jsonl}
"""
    said = "is no file: it must read the same each time"
    assert problems(load_pipeline, text) == [
        f"f.yaml:1: 'suite' names pipe.jsonl, which {said}",
        f"f.yaml:2: 'baseline.responses' names /dev/zero, which {said}",
        f"f.yaml:3: 'candidate.prompt' names pipe.jsonl, which {said}",
        f"f.yaml:4: 'load.file' names pipe.jsonl, which {said}",
    ]
    assert problems(load_suite, "golden_sets: [zero.jsonl]") == [
        f"f.yaml:1: 'golden_sets[0]' names /dev/zero, which {said}"
    ]


def test_a_model_is_a_folder_where_there_is_one_else_an_id(here: Path) -> None:
    """`org/name` is a hub's id unless such a folder stands beside the pipeline."""
    path = pipeline(
        here, "{name: b, engine: transformers, model: org/small}", "{name: c, engine: openai, model: pipes}"
    )
    first = load_pipeline(path)
    (here / "pipes/org/small").mkdir(parents=True)
    (here / "pipes/pipes").mkdir()
    second = load_pipeline(path)
    assert isinstance(first.baseline, TransformersRelease)
    assert isinstance(second.baseline, TransformersRelease)
    assert isinstance(second.candidate, OpenAIRelease)
    assert first.baseline.model == "org/small"
    assert second.baseline.model == str(here / "pipes/org/small")
    assert second.candidate.model == "pipes", "a server's name for its model is no path"


def test_a_prompt_file_is_read_in(here: Path) -> None:
    """`file://` is replaced by the text, without its last line break; in chat turns as well."""
    turns = "{name: c, engine: openai, model: m, prompt: [{role: system, content: file://p.txt}]}"
    path = pipeline(here, "{name: b, engine: transformers, model: m, prompt: file://p.txt}", turns)
    (here / "pipes/p.txt").write_bytes("Q: {{question}}\nÀ:\n\n".encode())
    loaded = load_pipeline(path)
    assert isinstance(loaded.baseline, TransformersRelease)
    assert isinstance(loaded.candidate, OpenAIRelease)
    assert loaded.baseline.prompt == "Q: {{question}}\nÀ:\n"
    assert loaded.candidate.prompt == (Turn(role="system", content="Q: {{question}}\nÀ:\n"),)


def on_gpus(folder: Path, gpus: str, parallel: int) -> Path:
    """A pipeline whose replicas have so many GPUs, and whose servers share a model over so many."""
    path = pipeline(folder, f"{{name: b, engine: vllm, model: org/small, tensor_parallel: {parallel}}}")
    path.write_text(path.read_text() + f"runner: {{type: ray, gpus_per_arm: {gpus}}}\n")
    return path


@pytest.mark.parametrize(("gpus", "parallel"), [("0", 2), ("0.5", 1), ("1", 1), ("2.0", 2), ("4", 2)])
def test_gpus_that_can_be_used(here: Path, gpus: str, parallel: int) -> None:
    """A part of one or several whole ones; a CPU build shares a model without any."""
    runner = load_pipeline(on_gpus(here, gpus, parallel)).runner

    assert isinstance(runner, RayRunner)
    assert runner.gpus_per_arm == float(gpus)


@pytest.mark.parametrize(
    ("gpus", "parallel", "mistake"),
    [
        ("1.5", 1, "p.yaml:5: 'runner.gpus_per_arm' must be at most 1, or a whole number (got 1.5)"),
        (
            "1",
            2,
            "p.yaml:3: 'baseline.tensor_parallel' must be at most the GPUs of a replica, 'runner.gpus_per_arm: 1'",
        ),
        ("0.5", 2, "'runner.gpus_per_arm: 0.5' (got 2): give each replica as many"),
    ],
)
def test_gpus_that_no_server_could_use(here: Path, gpus: str, parallel: int, mistake: str) -> None:
    """What Ray refuses to hand out, and what a server would end over, is found before either is started."""
    with pytest.raises(ConfigError) as refused:
        load_pipeline(on_gpus(here, gpus, parallel))

    assert len(refused.value.problems) == 1
    assert mistake in refused.value.problems[0]


def test_a_runner_may_be_written_by_its_name(here: Path) -> None:
    """`runner: ray` is `runner: {type: ray}`."""
    release = "{name: b, engine: replay, responses: r.jsonl}"
    path = pipeline(here, release)
    path.write_text(path.read_text() + "runner: ray\n")
    assert load_pipeline(path).runner == RayRunner(type="ray")


# --- secrets --------------------------------------------------------------------------------------------------
SECRETIVE = "{name: b, engine: openai, model: '${X_MODEL}', api_key: '${X_KEY}', headers: {Auth: 'Bearer ${X_KEY}!'}}"


def test_the_environment_is_expanded_in_secrets_and_nowhere_else(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other fields keep `${…}` as it is written."""
    monkeypatch.setenv("X_KEY", "hunter2")
    monkeypatch.setenv("X_MODEL", "expanded")
    release = load_pipeline(pipeline(here, SECRETIVE)).baseline
    assert isinstance(release, OpenAIRelease)
    assert release.api_key is not None
    assert release.api_key.get_secret_value() == "hunter2"
    assert release.headers["Auth"].get_secret_value() == "Bearer hunter2!"
    assert release.model == "${X_MODEL}"
    assert "hunter2" not in repr(release) + release.model_dump_json()


@pytest.mark.parametrize(("value", "state"), [(None, "not set"), ("", "empty")])
def test_a_variable_that_is_unset_or_empty_is_a_mistake(
    here: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, state: str
) -> None:
    """CI systems hand a missing secret over as an empty variable; neither is sent."""
    monkeypatch.delenv("X_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("X_KEY", value)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(pipeline(here, SECRETIVE))
    said = f"needs the environment variable X_KEY, which is {state}"
    assert caught.value.problems == (
        f"pipes/p.yaml:3: 'baseline.api_key' {said}",
        f"pipes/p.yaml:3: 'baseline.headers.Auth' {said}",
    )


@pytest.mark.parametrize("field", ["api_key: 31337", "headers: [sk-31337]", "headers: sk-31337", "headers: {a: 31337}"])
def test_a_secret_is_never_shown_in_a_message(here: Path, field: str) -> None:
    """A mistake in a secret is described without its value."""
    with pytest.raises(ConfigError) as caught:
        load_pipeline(pipeline(here, f"{{name: b, engine: openai, model: m, {field}}}"))
    assert "31337" not in str(caught.value)
    assert "'baseline." in str(caught.value)
