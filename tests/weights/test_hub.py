"""Models by a hub's id: which commit it is, that the run keeps to it, and what goes wrong."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from canary.config import load_pipeline
from canary.errors import ConfigError, EngineError
from canary.pipeline import Suite
from canary.release import TransformersRelease, VllmRelease
from canary.run.resolve import live_release
from canary.run.weights import Pinned, pinned, pinned_suite
from canary.weights import commit_of
from tests.engines.test_vllm import TEXTS, answers, left, vllm
from tests.engines.test_vllm import release as vllm_release
from tests.weights.conftest import (
    CHECKPOINTS,
    FIRST,
    ID,
    SECOND,
    Hub,
    Pipeline,
    canary_process,
    outputs,
    plan_of,
)

__all__ = ["vllm"]  # the fixture, with its skip


def release(**fields: object) -> TransformersRelease:
    """A release of the hub's model."""
    return TransformersRelease.model_validate({"engine": "transformers", "name": "v8", "model": ID} | fields)


def pin(written: TransformersRelease | VllmRelease) -> Pinned:
    """As a run pins its candidate."""
    return pinned(written, "candidate", None)


def folder_release(engine: str, folder: Path) -> TransformersRelease | VllmRelease:
    """A release of a folder's weights."""
    kind = TransformersRelease if engine == "transformers" else VllmRelease
    return kind.model_validate({"engine": engine, "name": "v8", "model": str(folder)})


@pytest.mark.parametrize(
    ("engine", "holds", "got"),
    [
        ("transformers", (), "an empty folder"),
        ("vllm", (), "an empty folder"),
        ("transformers", ("model.safetensors",), "a folder without one"),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_refused(
    tmp_path: Path, engine: str, holds: tuple[str, ...], got: str
) -> None:
    """Before an engine spends minutes on it."""
    for name in holds:
        (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigError) as refused:
        pin(folder_release(engine, tmp_path))

    must = "'model' must be a checkpoint, a folder with a config.json"
    assert str(refused.value) == f"candidate 'v8': {must} ({tmp_path} is {got})"


@pytest.mark.parametrize(("engine", "holds"), [("transformers", "config.json"), ("vllm", "params.json")])
def test_a_folder_that_may_be_a_checkpoint_is_the_engine_s_to_judge(tmp_path: Path, engine: str, holds: str) -> None:
    """Other layouts than that of transformers are loaded by vLLM."""
    (tmp_path / holds).write_text("{}")

    assert pin(folder_release(engine, tmp_path)).warnings == ()


def digest(found: Pinned) -> str:
    """The digest of what was pinned."""
    assert isinstance(found.release, TransformersRelease | VllmRelease)
    return live_release(found.release, found.origins).digest


@pytest.mark.parametrize(("revision", "commit"), [(None, FIRST), ("main", FIRST), ("v2", SECOND)])
def test_a_revision_that_moves_is_pinned_and_warned_of(hub: Hub, revision: str | None, commit: str) -> None:
    """A branch, a tag or nothing becomes the commit it is now; the warning says how to pin it."""
    found = pin(release(revision=revision))

    assert isinstance(found.release, TransformersRelease)
    assert (found.release.model, found.release.revision) == (ID, commit)
    assert found.origins["model"].pinned == f"{ID}@{commit}"
    assert found.warnings == (
        f"candidate 'v8': {ID} moves: '{revision or 'main'}' is {commit} just now; pin it: revision: {commit}",
    )


def test_a_commit_stands_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs neither hub nor cache nor library, and no warning."""
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    found = pin(release(revision=SECOND))

    assert (found.warnings, found.origins["model"].written) == ((), f"{ID}@{SECOND}")


def test_the_digest_is_the_commit_s(hub: Hub) -> None:
    """However a commit was named, and wherever it is loaded, one commit is one digest and another is another."""
    first = digest(pin(release(revision=FIRST)))

    assert digest(pin(release())) == digest(pin(release(revision="main"))) == first
    assert digest(pin(release(revision="v2"))) != first
    hub.point("main", SECOND)
    assert digest(pin(release())) == digest(pin(release(revision=SECOND)))


def test_releases_of_folders_keep_their_digest() -> None:
    """What a release without a revision was digested to before there was one."""
    here = release(model=str(CHECKPOINTS / "baseline"), device="cpu")
    there = VllmRelease(engine="vllm", name="v8", model=str(CHECKPOINTS / "baseline"))

    assert live_release(here).digest == "a1d564837319c937e0c447eac49908c02f8faab4d388c5c57c2edd0fbc83a365"
    assert live_release(there).digest == "6080809995f22234b270d69db149a1bab369c0dadba3bb5ab694957400ab2fb4"
    assert pin(here) == Pinned(release=here, origins={})


@pytest.mark.parametrize(
    ("model", "revision", "said"),
    [
        (ID, "v9", (f"there is no such folder beside the file that names it, HF_HUB_OFFLINE forbids to ask the hub for "
                   f"revision 'v9' of '{ID}', and the cache ")),
        ("checkpoints/v8", None, "candidate 'v8': 'model' names checkpoints/v8: there is no such folder beside"),
        (str(CHECKPOINTS / "baseline"), "main", "'revision' must be left out: only a hub's model has revisions, not /"),
    ],
)  # fmt: skip
def test_what_is_not_there(hub: Hub, model: str, revision: str | None, said: str) -> None:
    """Offline, a name that nobody knows here is a mistake, told with everything that was tried."""
    with pytest.raises(ConfigError) as caught:
        pin(release(model=model, revision=revision))
    assert said in str(caught.value)


def test_a_cache_that_is_broken(hub: Hub) -> None:
    """What is no commit is not taken for one, nor shown: a name may lead to any file."""
    hub.point("half", "12")
    (hub.repo / "secret").write_text("hunter2")

    for revision in ("half", "../secret"):
        with pytest.raises(EngineError, match="has for it is no commit") as caught:
            commit_of(ID, revision)
        assert "hunter2" not in str(caught.value)


def test_a_judge_is_pinned_too(hub: Hub) -> None:
    """Its weights are followed, recorded and warned of as a release's are."""
    written = {"golden_sets": ["p.jsonl"], "judge": {"release": release(revision="v2").model_dump()}}
    suite, warnings = pinned_suite(Suite.model_validate(written), None)

    assert suite.judge is not None
    assert suite.judge.release == release(revision=SECOND)
    assert [warning.partition(" moves")[0] for warning in warnings] == [f"judge 'v8': {ID}"]


def test_a_hub_out_of_reach(hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What the cache has is taken, as the libraries do; what it has not breaks the gate, and is no verdict."""
    from huggingface_hub import constants

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", f"http://127.0.0.1:{closed.getsockname()[1]}")

        assert commit_of(ID, None) == FIRST
        assert f"{ID} is as the cache has it" in caplog.text
        with pytest.raises(EngineError, match=r"^revision 'v9' of 'acme/support': the hub cannot be reached, and the "):
            commit_of(ID, "v9")


def test_a_hub_that_says_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for no longer than for one that is not there."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("canary.weights.hub.ASKED_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", f"http://127.0.0.1:{mute.getsockname()[1]}")

        assert commit_of(ID, None) == FIRST
        with pytest.raises(EngineError, match="the hub cannot be reached, and the cache"):
            commit_of(ID, "v9")


@pytest.mark.parametrize(
    ("status", "code", "error", "said"),
    [
        (404, "RepoNotFound", ConfigError, "there is no such folder .*, and the hub does not show it"),
        (401, "RepoNotFound", ConfigError, "there is no such folder .*, and the hub does not show it"),
        (404, "RevisionNotFound", ConfigError, "revision 'v9' of 'acme/support' is unknown: the hub has"),
        (503, "", EngineError, "revision 'v9' of 'acme/support': the hub cannot be reached, and the cache .*503"),
        (418, "", EngineError, "revision 'v9' of 'acme/support': the hub answered with HfHubHTTPError: "),
    ],
)
def test_a_hub_that_says_no(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, status: int, code: str, error: type[Exception], said: str
) -> None:
    """A model or revision that is unknown is a mistake; any other answer breaks the gate."""
    from huggingface_hub import constants

    reply = f"HTTP/1.1 {status} No\r\nX-Error-Code: {code}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", url)
            await asyncio.to_thread(commit_of, ID, "v9")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(error, match=said):
        asyncio.run(scenario())


@pytest.mark.parametrize("written", ["a/b/c", "${MODEL}", "org/na me", "models:/support", "models:/a@", "runs:/x"])
def test_what_can_be_nowhere(pipeline: Pipeline, written: str) -> None:
    """Neither folder, id nor address: found when the pipeline is read."""
    with pytest.raises(ConfigError) as caught:
        load_pipeline(pipeline(candidate={"model": written}))
    said = "to be in MLflow (got " if ":" in written else "does not exist, and is no hub's id like org/name"
    assert said in str(caught.value)


@pytest.mark.slow
def test_a_run_keeps_to_the_commit(hub: Hub, pipeline: Pipeline, tmp_path: Path) -> None:
    """Weights come out of the cache by commit; the plan records it; a branch that moved stops a resumed run."""
    path = pipeline(baseline={"model": ID, "revision": "main"}, candidate={"model": ID, "revision": SECOND})
    ran = canary_process(tmp_path, hub.environment, "run", path, "--fail-on", "never", "--no-early-stop")
    assert ran.returncode == 0, ran.stderr
    plan, hubs = plan_of(tmp_path / "runs"), outputs(tmp_path / "runs")
    assert [plan[arm]["release"]["revision"] for arm in ("baseline", "candidate")] == [FIRST, SECOND]
    assert plan["baseline"]["origins"]["model"]["pinned"] == f"{ID}@{FIRST}"
    (moves,) = [warning for warning in plan["warnings"] if "moves" in warning]
    assert moves.endswith(f"pin it: revision: {FIRST}")

    folders = {arm: {"model": str(CHECKPOINTS / name)} for arm, name in
               (("baseline", "baseline"), ("candidate", "candidate-good"))}  # fmt: skip
    again = canary_process(
        tmp_path, {}, "run", pipeline(**folders), "--runs", "here", "--fail-on", "never", "--no-early-stop"
    )
    assert again.returncode == 0, again.stderr
    assert outputs(tmp_path / "here") == hubs

    (run,) = (tmp_path / "runs").glob("2*")
    (run / "manifest.json").unlink()
    hub.point("main", SECOND)
    pipeline(baseline={"model": ID, "revision": "main"}, candidate={"model": ID, "revision": SECOND})
    resumed = canary_process(tmp_path, hub.environment, "run", "--resume", run)
    assert resumed.returncode == 2
    assert f"'baseline.release.revision' changed under this run: plan.json has \"{FIRST}\"" in resumed.stderr


def test_a_plan_says_what_moves(hub: Hub, pipeline: Pipeline, tmp_path: Path) -> None:
    """`canary plan` prints the warning, and is exit 2 where the id is nowhere."""
    told = canary_process(tmp_path, hub.environment, "plan", pipeline(candidate={"model": ID}), "--allow-underpowered")
    assert told.returncode == 0, told.stderr
    assert f"pin it: revision: {FIRST}" in " ".join(told.stdout.split())

    lost = canary_process(tmp_path, hub.environment, "plan", pipeline(candidate={"model": "acme/other"}))
    assert lost.returncode == 2
    assert lost.stderr.startswith("canary: candidate 'c': 'model' names acme/other: there is no such folder beside")


@pytest.mark.slow
def test_weights_that_the_cache_lacks(hub: Hub, pipeline: Pipeline, tmp_path: Path) -> None:
    """A commit that was never fetched here stops the run before anything is asked."""
    path = pipeline(candidate={"model": ID, "revision": "3" * 40})
    ran = canary_process(tmp_path, hub.environment, "run", path)

    assert ran.returncode == 4
    assert f"engine 'transformers' cannot load '{ID}@{'3' * 40}' on cpu: " in ran.stderr


@pytest.mark.slow
def test_vllm_serves_the_commit(vllm: str, hub: Hub, tmp_path: Path) -> None:
    """The server loads the commit that was pinned, offline, and says what the folder's does."""
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1"} | hub.environment
    found = pin(vllm_release(vllm, model=ID, revision="v2", env=environment)).release
    assert isinstance(found, VllmRelease)
    assert found.revision == SECOND

    served = [one.output for one in answers(found, TEXTS)]

    folder = vllm_release(vllm, model=str(CHECKPOINTS / "candidate-good"))
    assert served == [one.output for one in answers(folder, TEXTS)]
    assert left(ID) == []


def test_a_file_that_an_engine_argument_names_is_part_of_the_release(tmp_path: Path) -> None:
    """A chat template that is another one makes another release; text that names none, or a store, does not."""
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages }}")

    def digest(**engine_args: object) -> str:
        written = {"engine": "vllm", "name": "v", "model": "acme/support", "engine_args": engine_args}
        return live_release(VllmRelease.model_validate(written)).digest

    arguments = {"hf_overrides": "{" + "x" * 5000, "download-dir": str(tmp_path)}
    before, plain = digest(chat_template=str(template)), digest(**arguments)
    template.write_text("{{ messages }}!")

    assert digest(chat_template=str(template)) != before
    assert digest(**arguments) == plain
