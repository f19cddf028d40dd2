"""Which releases one engine may serve, and what that does to a plan and to a verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.codec import decode, encode
from canary.pipeline import Pipeline
from canary.records import Arm, Observation
from canary.release import LiveRelease
from canary.run.load import load
from canary.sharing import TRAVELS, named, obstacle
from tests.jsonl import write_jsonl

SHIPPED = Path(__file__).resolve().parents[1] / "pipelines" / "checkpoints" / "baseline"
ENGINES: dict[str, dict[str, Any]] = {
    "transformers": {"engine": "transformers", "model": "m"},
    "vllm": {"engine": "vllm", "model": "m"},
    "openai": {"engine": "openai", "model": "m"},
}
TRAVELLING: list[dict[str, Any]] = [
    {"prompt": "Briefly: {{prompt}}"},
    {"sampling": {"max_tokens": 9}},
    {"price": {"input_per_million": 1, "output_per_million": 2}},
    {"timeout_s": 5},
]
OWN = [
    ("transformers", {"model": "n"}),
    ("transformers", {"device": "cpu"}),
    ("transformers", {"dtype": "bfloat16"}),
    ("transformers", {"threads": 2}),
    ("vllm", {"model": "n"}),
    ("vllm", {"revision": "abc"}),
    ("vllm", {"lora": "l"}),
    ("vllm", {"tensor_parallel": 2}),
    ("vllm", {"engine_args": {"seed": 1}}),
    ("vllm", {"env": {"VLLM_BATCH_INVARIANT": "1"}}),
    ("vllm", {"python": "/usr/bin/python3"}),
]


def pipeline(baseline: dict[str, Any], candidate: dict[str, Any], runner: Any = "local") -> Pipeline:
    """Two releases, nothing of which is read."""
    arms = {"baseline": {"name": "v1"} | baseline, "candidate": {"name": "v2"} | candidate}
    return Pipeline.model_validate({"suite": "s", "runner": runner, **arms})


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
@pytest.mark.parametrize("change", TRAVELLING)
def test_what_travels_with_a_request(engine: str, change: dict[str, Any]) -> None:
    """It keeps nobody from sharing the engine, alone or all of it together."""
    every = {key: value for each in TRAVELLING for key, value in each.items()}

    assert pipeline(ENGINES[engine], ENGINES[engine] | change).shares_engine
    assert pipeline(ENGINES[engine], ENGINES[engine] | every).shares_engine


@pytest.mark.parametrize("change", [{"api": "completions"}, {"extra_body": {"top_k": 3}}])
def test_what_travels_to_a_server(change: dict[str, Any]) -> None:
    """Of a server of ours the path and the body too."""
    assert pipeline(ENGINES["vllm"], ENGINES["vllm"] | change).shares_engine


@pytest.mark.parametrize(("engine", "change"), OWN)
def test_what_an_engine_is_brought_up_with(engine: str, change: dict[str, Any]) -> None:
    """It takes an engine each, whatever else differs, and asking for one is a mistake that says why."""
    (field,) = change
    other = ENGINES[engine] | {"prompt": "x"} | change

    assert not pipeline(ENGINES[engine], other).shares_engine
    with pytest.raises(
        ValueError, match=rf"'runner.share' must be false, or left out: the releases differ in '{field}'"
    ):
        pipeline(ENGINES[engine], other, {"type": "ray", "share": True})


def test_engines_of_nobody_s_own() -> None:
    """An endpoint or a file is asked by each arm for itself; so are two kinds of engine."""
    assert not pipeline(ENGINES["openai"], ENGINES["openai"] | {"prompt": "x"}).shares_engine
    assert not pipeline(ENGINES["vllm"], ENGINES["transformers"]).shares_engine
    with pytest.raises(ValueError, match=r"engine 'openai' brings up no model"):
        pipeline(ENGINES["openai"], ENGINES["openai"], {"type": "local", "share": True})


def test_a_release_against_itself() -> None:
    """It has two engines, as a candidate would; a runner may say otherwise, and may refuse."""
    same, other = ENGINES["vllm"], ENGINES["vllm"] | {"prompt": "x"}

    assert not pipeline(same, same).shares_engine
    assert pipeline(same, same, {"type": "ray", "share": True}).shares_engine
    assert not pipeline(same, other, {"type": "ray", "share": False}).shares_engine


def test_every_other_field_is_the_engine_s_own() -> None:
    """A field that a release gets one day is not shared before somebody says that it travels."""
    known = {name for fields in TRAVELS.values() for name in fields}

    assert known - {"api", "extra_body"} == LiveRelease.model_fields.keys() - {"model"}


def test_who_it_answers_for() -> None:
    """As messages name it."""
    asked = pipeline(ENGINES["vllm"], ENGINES["vllm"])

    assert named({Arm.CANDIDATE: asked.candidate}) == "candidate 'v2'"
    assert named(dict(zip(Arm, (asked.baseline, asked.candidate), strict=True))) == "baseline 'v1' and candidate 'v2'"
    assert obstacle(asked.baseline, asked.candidate) == ""


def test_an_observation_of_nobody_s_own(tmp_path: Path) -> None:
    """A line says null where one server spoke for both arms; without the key it is no observation."""
    seen = Observation(arm=None, replica=0, at=1.5, values={"cpu": 0.5})
    path = tmp_path / "observations.jsonl"
    path.write_bytes(encode(seen))

    assert path.read_text() == '{"arm":null,"replica":0,"at":1.5,"values":{"cpu":0.5}}\n'
    with path.open("rb") as file:
        assert [one for chunk in decode(Observation, file, "o") for one in chunk] == [seen]


class Workspace:
    """A pipeline over the shipped checkpoint, whose candidate has another prompt."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "p.yaml"
        cases = [{"id": f"c{i}", "vars": {"prompt": f"add: {i}+1"}, "expected": str(i + 1)} for i in range(40)]
        write_jsonl(folder / "prompts.jsonl", cases)
        (folder / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\n")
        (folder / "policy.yaml").write_text("version: 1\n")
        self.write()

    def write(self, runner: Any = "local", engine: str = "transformers", policy: Any = None, **change: Any) -> Path:
        """Another runner, engine, policy or candidate."""
        release = {"engine": engine, "model": str(SHIPPED), "sampling": {"max_tokens": 2}}
        arms = {"baseline": release | {"name": "v1"}, "candidate": release | {"name": "v2", "prompt": "a {{prompt}}"}}
        arms["candidate"] |= change
        document = {"suite": "suite.yaml", "policy": "policy.yaml", "runner": runner, **arms}
        self.path.write_text(yaml.safe_dump(document))
        if policy is not None:
            (self.folder / "policy.yaml").write_text(yaml.safe_dump({"version": 1} | policy))
        return self.path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A prompt-only change."""
    return Workspace(tmp_path)


def test_plan_says_so_and_reckons_with_one(workspace: Workspace, canary: Callable[..., Any]) -> None:
    """Half the room, and the reason; two engines where the runner asks for them."""
    runner = {"type": "ray", "cpus_per_arm": 4, "gpus_per_arm": 1, "replicas": 2}
    shared = canary("plan", workspace.write(runner), "--allow-underpowered")
    apart = canary("plan", workspace.write(runner | {"share": False}), "--allow-underpowered")

    said = " ".join(shared.out.split())
    assert shared.status == apart.status == 0
    assert "both arms share one engine: the releases differ only in 'prompt'; their requests wait in one queue" in said
    assert "room: 8 CPU, 2 GPU at once, for 2 x {'CPU': 4.0, 'GPU': 1.0}" in said
    assert "share one engine" not in apart.out
    assert "room: 16 CPU, 4 GPU at once, for 4 x" in " ".join(apart.out.split())


def test_the_question_stays_what_it_was(workspace: Workspace) -> None:
    """Seeds and digests do not depend on where it is answered; a policy that names no level requires none."""
    shared, apart = (
        load(workspace.write({"type": "local", "share": share}, engine="vllm"), stage="staging").plan
        for share in (None, False)
    )

    assert (shared.shared_engine, apart.shared_engine) == (True, False)
    assert shared.digest() == apart.digest()
    assert shared.required == apart.required == ()


def test_named_levels_are_required_where_nobody_has_them(workspace: Workspace) -> None:
    """Only of servers that say how they are, one for both arms or one each."""
    policy = {"saturation": {"kv_cache": {"critical": 0.95}}}
    required = [
        load(workspace.write({"type": "local", "share": share}, engine, policy), stage="staging").plan.required
        for share, engine in ((None, "vllm"), (False, "vllm"), (None, "transformers"))
    ]

    assert required == [("saturation/kv_cache",), ("saturation/kv_cache",), ()]


def test_a_run_over_one_checkpoint(workspace: Workspace, canary: Callable[..., Any]) -> None:
    """Each arm is asked its own way; record and report say that the engine was shared, and a resume keeps to it."""
    ran = canary("run", workspace.write(sampling={"max_tokens": 1}), "--runs", workspace.folder / "runs")

    assert ran.status in (0, 1, 3), ran.err
    (run,) = (workspace.folder / "runs").glob("2*")
    plan = json.loads((run / "plan.json").read_text())
    lines = [json.loads(line) for line in (run / "responses.jsonl").read_text().splitlines()]
    lengths = {arm: {line["output_tokens"] for line in lines if line["arm"] == arm} for arm in Arm}
    assert plan["shared_engine"] is True
    assert lengths[Arm.CANDIDATE] == {1}
    assert 2 in lengths[Arm.BASELINE]
    for text in (ran.out, (run / "summary.md").read_text(), (run / "verdict.json").read_text()):
        assert "both arms share one engine: the releases differ only in" in " ".join(text.split())

    (run / "manifest.json").unlink()
    workspace.write({"type": "local", "share": False}, sampling={"max_tokens": 1})
    again = canary("run", "--resume", run)
    assert again.status == 2
    assert "'shared_engine' changed under this run: plan.json has true, now false" in " ".join(again.err.split())


def test_calibration_has_the_run_s_bench(workspace: Workspace, canary: Callable[..., Any]) -> None:
    """The baseline against itself shares an engine where the pipeline's own run does, and only there."""
    found: list[bool] = []
    runners: list[Any] = ["local", {"type": "local", "share": False}]
    for runner in runners:
        runs = workspace.folder / f"runs{len(found)}"
        assert canary("calibrate", "noise", workspace.write(runner), "--runs", runs).status == 0
        (plan,) = runs.glob("2*/plan.json")
        found.append(json.loads(plan.read_text())["shared_engine"])

    assert found == [True, False]
