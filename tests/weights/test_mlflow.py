"""Weights out of a real MLflow: what an address means, that the run keeps to it, promotes it, and what goes wrong."""

from __future__ import annotations

import json
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from canary.disk import cache_folder
from canary.errors import ConfigError, PromotionError, TrackingError
from canary.ledger import read
from canary.plan import Origin
from canary.registry import ModelEntry
from canary.release import TransformersRelease, VllmRelease
from canary.run.resolve import live_release
from canary.run.weights import Pinned, pinned
from canary.tracking import connected
from tests.engines.adapters import adapter
from tests.engines.test_vllm import TEXTS, answers, vllm
from tests.engines.test_vllm import release as vllm_release
from tests.tracking.conftest import Server, server
from tests.weights.conftest import CHECKPOINTS, Pipeline, canary_process, outputs, plan_of

__all__ = ["server", "vllm"]  # fixtures

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched from, or left in, the user's cache or server."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@dataclass(frozen=True, slots=True)
class Shelf:
    """A registered model of one test."""

    server: Server
    name: str

    def add(self, folder: Path, alias: str | None = None) -> str:
        """Register a folder as the next version; the run that holds its files."""
        with connected(self.server.url) as tracker:
            run = str(tracker.client.create_run("0").info.run_id)
            tracker.client.log_artifacts(run, str(folder), "weights")
            if not tracker.client.search_registered_models(f"name = '{self.name}'"):
                tracker.client.create_registered_model(self.name)
            version = tracker.client.create_model_version(self.name, f"runs:/{run}/weights", run_id=run)
            if alias is not None:
                tracker.client.set_registered_model_alias(self.name, alias, version.version)
        return run


@pytest.fixture
def shelf(server: Server, request: pytest.FixtureRequest) -> Shelf:
    """A name that no other test uses."""
    return Shelf(server, re.sub(r"\W+", "-", request.node.name))


def release(model: str) -> TransformersRelease:
    """A release of what an address names."""
    return TransformersRelease(engine="transformers", name="v8", model=model)


def pin(model: str, server: Server) -> Pinned:
    """As a run pins its candidate."""
    return pinned(release(model), "candidate", server.url)


def origin(found: Pinned) -> Origin:
    """Where the model came from."""
    return found.origins["model"]


def model(found: Pinned) -> Path:
    """The folder that the engine gets."""
    assert isinstance(found.release, TransformersRelease)
    return Path(found.release.model)


def test_an_alias_is_the_version_it_points_at(server: Server, shelf: Shelf) -> None:
    """Alias, version, source and content are recorded; the weights are the ones registered; the digest is theirs."""
    run = shelf.add(CHECKPOINTS / "baseline", "champion")
    found = pin(f"models:/{shelf.name}@champion", server)
    here = release(str(CHECKPOINTS / "baseline"))

    assert origin(found) == Origin(
        written=f"models:/{shelf.name}@champion",
        pinned=f"models:/{shelf.name}/1",
        alias="champion",
        version="1",
        source=f"runs:/{run}/weights",
        sha256=origin(pin(f"runs:/{run}/weights", server)).sha256,
    )
    assert isinstance(found.release, TransformersRelease)
    planned = live_release(found.release, found.origins)
    assert planned.digest == live_release(here).digest
    assert planned.release["model"] == f"models:/{shelf.name}/1"
    assert {file.name: file.read_bytes() for file in model(found).iterdir()} == {
        file.name: file.read_bytes() for file in (CHECKPOINTS / "baseline").iterdir()
    }


def test_what_a_run_holds_is_fetched_anew(server: Server, shelf: Shelf, tmp_path: Path) -> None:
    """A run's files may change under one address: the digest follows them, and nothing half-fetched stays."""
    run = shelf.add(CHECKPOINTS / "baseline")
    before = pin(f"runs:/{run}/weights", server)
    with connected(server.url) as tracker:
        tracker.client.log_artifacts(run, str(CHECKPOINTS / "candidate-good"), "weights")
    after = pin(f"runs:/{run}/weights", server)

    assert origin(before).sha256 != origin(after).sha256
    assert origin(pin(f"models:/{shelf.name}/1", server)).sha256 == origin(after).sha256
    assert model(before) != model(after)
    assert sorted(path.name for path in (cache_folder() / "models").iterdir()) == sorted(
        {model(before).name, model(after).name}
    )


def test_a_model_logged_by_mlflow_s_own_flavour(server: Server, shelf: Shelf) -> None:
    """Its tokenizer lies elsewhere than its weights; here they lie together, fetched once unless touched."""
    import mlflow
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parts = {
        "model": AutoModelForCausalLM.from_pretrained(CHECKPOINTS / "baseline"),
        "tokenizer": AutoTokenizer.from_pretrained(CHECKPOINTS / "baseline"),
    }
    with connected(server.url), mlflow.start_run(experiment_id="0"):
        logged = mlflow.transformers.log_model(
            parts, name="m", task="text-generation", pip_requirements=["transformers"],
            registered_model_name=shelf.name,
        )  # fmt: skip
    found = pin(logged.model_uri, server)

    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in model(found).iterdir()}
    version = pin(f"models:/{shelf.name}/1", server)
    assert (origin(version).source, origin(version).sha256) == (logged.model_uri, origin(found).sha256)
    said = [one.output for one in answers(release(str(model(found))), TEXTS[:2])]
    assert said == [one.output for one in answers(release(str(CHECKPOINTS / "baseline")), TEXTS[:2])]
    written = (model(found) / "config.json").stat().st_ino
    assert (model(pin(logged.model_uri, server)) / "config.json").stat().st_ino == written
    (model(found) / "config.json").write_text("{}")
    assert pin(logged.model_uri, server) == found
    assert json.loads((model(found) / "config.json").read_text())["model_type"] == "llama"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("models:/{name}@nope", "models:/{name}@nope is unknown to MLflow at http://127.0.0.1:"),
        ("models:/{name}/9", "models:/{name}/9 is unknown to MLflow at "),
        ("models:/nobody@champion", "models:/nobody@champion is unknown to MLflow at "),
        ("runs:/" + "0" * 32 + "/weights", "/weights of MLflow at http://127.0.0.1:"),
        ("runs:/{run}/elsewhere", "/elsewhere of MLflow at http://127.0.0.1:"),
        ("models:/m-" + "0" * 32, "must hold files (got none)"),
        ("models:/{name}/2", "must hold one folder with a config.json (got none)"),
        ("models:/{name}/3", "must hold one folder with a config.json (got a, b)"),
    ],
)
def test_what_mlflow_does_not_have(server: Server, shelf: Shelf, tmp_path: Path, address: str, said: str) -> None:
    """An alias, version, run or folder that is not there, or is no checkpoint, is a mistake that names the release."""
    for folder in ("none", "two/a", "two/b"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "none/readme.txt").write_text("no weights")
    for folder in ("a", "b"):
        shutil.copy(CHECKPOINTS / "baseline" / "config.json", tmp_path / "two" / folder)
    run = shelf.add(CHECKPOINTS / "baseline")
    shelf.add(tmp_path / "none")
    shelf.add(tmp_path / "two")

    with pytest.raises(ConfigError) as caught:
        pin(address.format(name=shelf.name, run=run), server)
    assert str(caught.value).startswith("candidate 'v8': ")
    assert said.format(name=shelf.name) in str(caught.value)
    assert [path for path in tmp_path.glob("cache/canary-gate/models/*") if "half" in path.name] == []


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It breaks the gate, naming release and server, and no password."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://ann:hunter2@127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(TrackingError, match=r"^candidate 'v8': MLflow at http://127\.0\.0\.1:\d+: ") as caught:
            pinned(release("models:/support@champion"), "candidate", uri)
    assert "hunter2" not in str(caught.value)


def test_a_revision_is_the_hub_s_alone(server: Server, shelf: Shelf) -> None:
    """An address in MLflow has none."""
    shelf.add(CHECKPOINTS / "baseline")
    written = TransformersRelease(engine="transformers", name="v8", model=f"models:/{shelf.name}/1", revision="main")

    with pytest.raises(ConfigError, match="'revision' must be left out: only a hub's model has revisions"):
        pinned(written, "candidate", server.url)


def test_an_adapter_out_of_mlflow(server: Server, shelf: Shelf, tmp_path: Path) -> None:
    """`lora` takes an address too; its content is in the digest."""
    some = adapter(tmp_path / "some", CHECKPOINTS / "baseline", scale=1)
    shelf.add(some)
    written = VllmRelease(engine="vllm", name="v8", model=str(CHECKPOINTS / "baseline"), lora=f"models:/{shelf.name}/1")
    found = pinned(written, "candidate", server.url)
    assert isinstance(found.release, VllmRelease)
    here = live_release(written.model_copy(update={"lora": str(some)}))

    assert live_release(found.release, found.origins).digest == here.digest
    assert live_release(found.release, found.origins).release["lora"] == f"models:/{shelf.name}/1"


@pytest.mark.slow
def test_from_alias_to_promotion(server: Server, shelf: Shelf, pipeline: Pipeline, tmp_path: Path) -> None:
    """A run of champion against version 2 answers from both; its promotion makes version 2, no copy of it, champion."""
    shelf.add(CHECKPOINTS / "baseline", "champion")
    shelf.add(CHECKPOINTS / "baseline")
    name, here = shelf.name, {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    shorter = {"max_tokens": 3}
    path = pipeline(
        baseline={"model": f"models:/{name}@champion"},
        candidate={"model": f"models:/{name}/2", "sampling": shorter},
        mlflow={"tracking_uri": server.url},
        registry={"model": name},
    )
    ran = canary_process(tmp_path, here, "run", path, "--fail-on", "never", "--no-early-stop")
    assert ran.returncode == 0, ran.stderr
    plan = plan_of(tmp_path / "runs")
    assert [plan[arm]["release"]["model"] for arm in ("baseline", "candidate")] == [f"models:/{name}/{n}" for n in "12"]
    assert plan["baseline"]["origins"]["model"]["alias"] == "champion"
    assert len(outputs(tmp_path / "runs")) == 48

    (run,) = (tmp_path / "runs").glob("2*")
    promoted = canary_process(tmp_path, here, "promote", run, "--override", "24 cases do for a test")
    assert promoted.returncode == 0, promoted.stderr
    assert promoted.stdout == f"{name}: champion was version 1, is version 2 (c)\n"
    assert server.alias(name, "champion") == "2"
    (refusal,) = read(tmp_path / "runs").entries[-1]["overridden"]
    assert refusal.startswith("the verdict is hold: ")


@pytest.mark.slow
def test_an_alias_that_moved_stops_a_resumed_run(
    server: Server, shelf: Shelf, pipeline: Pipeline, tmp_path: Path
) -> None:
    """What was asked so far was asked of another version: the run says from which to which; the same weights go on."""
    shelf.add(CHECKPOINTS / "baseline", "champion")
    name, here = shelf.name, {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    path = pipeline(candidate={"model": f"models:/{name}@champion"}, mlflow={"tracking_uri": server.url})
    ran = canary_process(tmp_path, here, "run", path, "--fail-on", "never", "--no-early-stop")
    assert ran.returncode == 0, ran.stderr
    (run,) = (tmp_path / "runs").glob("2*")
    (run / "manifest.json").unlink()

    shelf.add(CHECKPOINTS / "candidate-bad", "champion")
    resumed = canary_process(tmp_path, here, "run", "--resume", run)
    assert resumed.returncode == 2
    said = (
        f'\'candidate.release.model\' changed under this run: plan.json has "models:/{name}/1", now "models:/{name}/2"'
    )
    assert said in resumed.stderr

    shelf.add(CHECKPOINTS / "baseline", "champion")
    again = canary_process(tmp_path, here, "run", "--resume", run, "--fail-on", "never")
    assert again.returncode == 0, again.stderr


def test_a_tested_version_that_is_another_now(server: Server, shelf: Shelf) -> None:
    """A version that was deleted, or is another server's, is not promoted; another prompt makes a version of it."""
    run = shelf.add(CHECKPOINTS / "baseline")
    found = pin(f"models:/{shelf.name}/1", server)
    assert isinstance(found.release, TransformersRelease)
    first = live_release(found.release, found.origins)
    other = live_release(found.release.model_copy(update={"prompt": "Shortly: {{prompt}}"}), found.origins)
    with connected(server.url) as tracker:
        entry = ModelEntry(tracker.client, shelf.name, "canary-gate")
        assert entry.holds("1", first)
        assert entry.ensure(first, "r") == entry.ensure(first, "r") == "1"
        assert entry.ensure(other, "r") == entry.ensure(other, "r") == "2"
        assert tracker.client.get_model_version(shelf.name, "2").source == f"runs:/{run}/weights"
        moved = first.model_copy(
            update={"origins": {"model": origin(found).model_copy(update={"source": "s3://elsewhere"})}}
        )
        assert not entry.holds("1", moved)
        with pytest.raises(
            PromotionError, match="version 1, which was tested, is another one: its source was s3://els"
        ):
            entry.ensure(moved, "r")
        tracker.client.delete_model_version(shelf.name, "1")
        with pytest.raises(PromotionError, match="version 1, which was tested, is gone; nothing was moved"):
            entry.ensure(first, "r")


@pytest.mark.slow
def test_vllm_serves_a_version(vllm: str, server: Server, shelf: Shelf) -> None:
    """The server loads what was fetched, and says what the folder's does."""
    shelf.add(CHECKPOINTS / "candidate-good")
    found = pinned(vllm_release(vllm, model=f"models:/{shelf.name}/1"), "candidate", server.url).release
    assert isinstance(found, VllmRelease)

    there = [one.output for one in answers(found, TEXTS)]

    here = TransformersRelease.model_validate(
        {"engine": "transformers", "name": "here", "model": str(CHECKPOINTS / "candidate-good"), "device": "cpu",
         "dtype": "float32", "sampling": {"max_tokens": 8}}
    )  # fmt: skip
    assert [one.split() for one in there] == [one.output.split() for one in answers(here, TEXTS)]


def test_no_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is a file here: where it is not, nothing makes it; where it is, the message says it was asked."""
    monkeypatch.chdir(tmp_path)
    unsaid = "neither MLFLOW_TRACKING_URI nor 'mlflow.tracking_uri' of the pipeline is set"
    absent = f"candidate 'v8': models:/x@champion cannot be found: {unsaid}, and the default, {tmp_path}/mlflow.db"
    with pytest.raises(ConfigError) as refused:
        pinned(release("models:/x@champion"), "candidate", None)

    assert refused.value.problems == (f"{absent}, is not there",)
    assert list(tmp_path.iterdir()) == []
    with connected(None) as tracker:
        tracker.client.search_registered_models()
    with pytest.raises(ConfigError, match=re.escape(f"sqlite:///{tmp_path}/mlflow.db (the default: {unsaid})")):
        pinned(release("models:/x@champion"), "candidate", None)


def test_a_server_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """One clause says why, after the address."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError) as died:
        pinned(release("models:/x@champion"), "candidate", "http://127.0.0.1:9")

    assert str(died.value) == "candidate 'v8': MLflow at http://127.0.0.1:9: cannot be reached: connection refused"
