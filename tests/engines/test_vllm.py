"""The engine `vllm` with real servers of shipped checkpoints, brought up and ended by the run.

Where vLLM is in another environment, SERVER_PYTHON names its interpreter.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from canary.engines import open_engine
from canary.engines.vllm import server
from canary.engines.vllm.arguments import arguments, check_arguments
from canary.errors import ConfigError, EngineError
from canary.protocols import Request
from canary.records import Arm, Response
from canary.release import TransformersRelease, VllmRelease
from tests.runners.actors import gone, stand_in

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("SERVER_PYTHON", sys.executable)
CHECKPOINTS = ROOT / "pipelines" / "checkpoints"
TEXTS = ["ticket: my parcel is late\nclass:", "add: 23+45\nsum:", "a", "lookup: tea=3 cup=9 | cup\nprice:"]


@pytest.fixture(scope="module")
def vllm() -> str:
    """The interpreter that has vLLM."""
    found = subprocess.run([PYTHON, "-c", "import vllm.version"], check=False, capture_output=True)
    if found.returncode:
        pytest.skip(f"NOT TESTED with a real vLLM: {PYTHON} has none (set SERVER_PYTHON)")
    return PYTHON


def release(python: str | None = None, **fields: Any) -> VllmRelease:
    """A small server of the shipped baseline."""
    written = {
        "engine": "vllm",
        "name": "v2",
        "model": str(CHECKPOINTS / "baseline"),
        "python": python,
        "api": "completions",
        "sampling": {"max_tokens": 8},
        "engine_args": {"enforce_eager": True, "dtype": "float32", "max_model_len": 256},
        "env": {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"},
    }
    return VllmRelease.model_validate(written | fields)


HERE = TransformersRelease.model_validate(
    {"engine": "transformers", "name": "here", "model": str(CHECKPOINTS / "baseline"), "device": "cpu",
     "dtype": "float32", "sampling": {"max_tokens": 8}}
)  # fmt: skip
"""The same checkpoint in this process."""


def words(answered: Sequence[Response]) -> list[list[str]]:
    """What was said; engines differ in the blanks around it."""
    return [one.output.split() for one in answered]


def answers(asked: VllmRelease | TransformersRelease, texts: Sequence[str]) -> list[Response]:
    """All at once, at temperature 0."""

    async def scenario() -> list[Response | None]:
        async with open_engine(asked, Arm.CANDIDATE) as generate:
            requests = (
                Request(id=str(n), arm=Arm.CANDIDATE, repeat=0, messages=None, text=text, seed=n)
                for n, text in enumerate(texts)
            )
            return await asyncio.gather(*map(generate, requests))

    return [response for response in asyncio.run(scenario()) if response is not None]


def servers(*marks: str) -> list[str]:
    """Every keeper and server, of this checkout's models or of those named."""
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if any(mark in line for mark in (str(CHECKPOINTS), *marks))]


def left(*marks: str) -> list[str]:
    """Those of them that do not go away soon."""
    gone(lambda: servers(*marks))
    return servers(*marks)


def test_arguments_are_the_release_s(tmp_path: Path) -> None:
    """Fields and `engine_args` become the server's command line, switches and lists too."""
    (tmp_path / "adapter_config.json").write_text('{"r": 8}')
    told = arguments(
        release(
            tensor_parallel=2,
            revision="abc",
            lora=str(tmp_path),
            engine_args={"max_model_len": 64, "enable_prefix_caching": False, "enforce-eager": True, "x": ["a", "b"]},
        )
    )

    assert " ".join(told).partition(" --revision")[2] == (
        f" abc --tensor-parallel-size 2 --enable-lora --lora-modules adapter={tmp_path}"
        " --no-enable-prefix-caching --enforce-eager --max-model-len 64 --x a b"
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"engine_args": {"port": 80}}, "'engine_args' must leave 'port' to the engine"),
        ({"engine_args": {"--port": 80}}, "String should match pattern"),
        ({"engine_args": {"served_model_name": "x"}}, "must leave 'served_model_name' to the engine"),
        ({"env": {"HF_TOKEN": "x"}}, "'env' must hold no secret (got 'HF_TOKEN')"),
        ({"tensor_parallel": 0}, "greater than or equal to 1"),
    ],
)
def test_what_a_release_must_not_say(fields: dict[str, Any], words: str) -> None:
    """What the engine decides, and secrets, are refused where they are written."""
    with pytest.raises(ValueError, match=re.escape(words)):
        release(**fields)


def test_an_interpreter_that_is_not_there() -> None:
    """One error that names it."""
    with pytest.raises(EngineError, match=r"(?s)candidate 'v2': .*cannot start /nonexistent: No such file"):
        answers(release("/nonexistent"), ["a"])


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_port_that_somebody_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: int) -> None:
    """Another is tried once; should that be taken too, the server's complaint is the error."""
    free = server._free_port
    with socket.create_server((server.HOST, 0)) as taken:
        ports = [taken.getsockname()[1]] * attempts
        monkeypatch.setattr(server, "_free_port", lambda: ports.pop() if ports else free())
        spoken = stand_in(tmp_path)
        if attempts == 1:
            assert [one.output for one in answers(release(spoken["python"]), ["a"])] == ["yes"]
        else:
            with pytest.raises(EngineError, match=r"(?s)candidate 'v2': .* status 1; it said last:.*already in use"):
                answers(release(spoken["python"]), ["a"])

    assert left() == []


@contextmanager
def somebody_else(status: int) -> Iterator[int]:
    """A healthy server on a port, which lets in whoever comes, or nobody (401)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer((server.HOST, 0), Handler) as taken:
        threading.Thread(target=taken.serve_forever, daemon=True).start()
        yield taken.server_port
        taken.shutdown()


@pytest.mark.parametrize("status", [200, 401])
def test_another_server_on_the_port_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """The other arm's, say, which is healthy: it lets in somebody without the key, or not us with it."""
    free = server._free_port
    with somebody_else(status) as port:
        ports = [port]
        monkeypatch.setattr(server, "_free_port", lambda: ports.pop() if ports else free())
        assert [one.output for one in answers(release(stand_in(tmp_path)["python"]), ["a"])] == ["yes"]

        monkeypatch.setattr(server, "_free_port", lambda: port)
        with pytest.raises(EngineError, match=rf"candidate 'v2': another server answers at http://127\.0\.0\.1:{port}"):
            answers(release(stand_in(tmp_path)["python"]), ["a"])

    assert left() == []


@pytest.mark.slow
def test_a_real_server_lets_in_its_own_run_alone(vllm: str) -> None:
    """Sockets of vLLM may share a port, so that a second server there would answer every other request."""

    async def scenario() -> list[int]:
        async with server.serving(release(vllm), "candidate 'v2'") as up, aiohttp.ClientSession() as client:
            keys: tuple[dict[str, str], ...] = (
                {},
                {"Authorization": "Bearer other"},
                {"Authorization": f"Bearer {up.key}"},
            )
            found = []
            for headers in keys:
                async with client.get(f"{up.origin}/v1/models", headers=headers) as said:
                    found.append(said.status)
            return found

    assert asyncio.run(scenario()) == [401, 401, 200]


@pytest.mark.slow
def test_says_what_the_checkpoint_says_in_this_process(vllm: str) -> None:
    """At temperature 0 the server answers as transformers does, is timed, and leaves no process."""
    there = answers(release(vllm), TEXTS)

    assert words(there) == words(answers(HERE, TEXTS))
    assert all(one.ttft_s and one.total_s and one.input_tokens for one in there)
    assert left() == []


@pytest.mark.slow
def test_an_argument_that_vllm_does_not_take_fails_before_anything_is_asked(vllm: str) -> None:
    """The server's own parser is asked; a good release passes."""
    assert check_arguments(release(vllm)) == ""

    with pytest.raises(ConfigError, match=r"release 'v2': 'engine_args' must be what vLLM takes .*--max-modl-len"):
        check_arguments(release(vllm, engine_args={"max_modl_len": 64}))


def test_arguments_without_an_interpreter() -> None:
    """On this machine a mistake; where the arm may be placed on another one, arguments go unchecked."""
    gone = release("/nowhere/python")

    with pytest.raises(ConfigError) as refused:
        check_arguments(gone)
    problem = "release 'v2': 'python' must be an interpreter (got /nowhere/python: No such file or directory)"
    assert refused.value.problems == (problem,)
    assert check_arguments(gone, away=True).startswith("release 'v2': /nowhere/python is not here (No such file or")


def test_arguments_for_an_interpreter_without_vllm(tmp_path: Path) -> None:
    """The plan says that arguments go unchecked; the cluster may have it."""
    venv.create(tmp_path / "bare", with_pip=False)

    bare = str(tmp_path / "bare" / "bin" / "python")
    said = check_arguments(release(bare))
    assert said == (
        f"release 'v2': vLLM is not in {bare}: 'engine_args' are not checked; the run needs it where the arm is placed"
    )


def broken_weights(folder: Path) -> dict[str, Any]:
    """A checkpoint whose weights are cut in half."""
    shutil.copytree(CHECKPOINTS / "baseline", folder / "broken")
    weights = folder / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    return {"model": str(folder / "broken")}


def no_memory(folder: Path) -> dict[str, Any]:
    """A cache larger than any machine here."""
    return {"env": {"VLLM_CPU_KVCACHE_SPACE": "100000", "HF_HUB_OFFLINE": "1"}}


def alone(folder: Path, candidate: VllmRelease) -> Path:
    """A pipeline whose build stage asks this candidate only."""
    written = candidate.model_dump(mode="json", exclude_unset=True)
    documents: dict[str, Any] = {
        "suite": {"golden_sets": ["prompts.jsonl"], "assert": [{"type": "regex", "value": "."}]},
        "policy": {"version": 1, "quality": {"metrics": {"pass": {"min_score": 0.5}}}},
        "pipeline": {"suite": "suite.yaml", "policy": "policy.yaml", "stages": {"build": {}}, "runner": "local"}
        | {"candidate": written}
        | {"baseline": written | {"model": str(CHECKPOINTS / "baseline")}},
    }
    for name, document in documents.items():
        (folder / f"{name}.yaml").write_text(json.dumps(document))
    (folder / "prompts.jsonl").write_text('{"id": "1", "vars": {"prompt": "a"}}\n')
    return folder / "pipeline.yaml"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (broken_weights, "(afetensor|eader|ncomplete)"),
        (no_memory, "[Mm]emory"),
    ],
)
def test_a_server_that_does_not_come_up_says_why(
    vllm: str, tmp_path: Path, canary: Callable[..., Any], spoil: Callable[[Path], dict[str, Any]], words: str
) -> None:
    """The server's own last words are the error, the gate is broken, and nothing of the server stays."""
    pipeline = alone(tmp_path, release(vllm, **spoil(tmp_path)))
    ran = canary("run", pipeline, "--stage", "build", "--runs", tmp_path / "runs")

    assert ran.status == 4
    assert re.search(rf"(?s)canary: candidate 'v2': the vLLM server ended with status .*{words}", ran.err)
    assert "Traceback" not in ran.err
    assert list(tmp_path.glob("runs/2*")) == []  # nothing was answered, so there is nothing to go on with
    assert left(str(tmp_path)) == []


def test_a_model_that_is_not_there(tmp_path: Path, canary: Callable[..., Any]) -> None:
    """It is a mistake of the pipeline, found before anything starts."""
    ran = canary("run", alone(tmp_path, release(model=str(tmp_path / "nowhere"))), "--runs", tmp_path / "runs")

    assert ran.status == 2
    assert re.search(rf"'(candidate|baseline)\.model' names {tmp_path}/nowhere, which does not exist", ran.err)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_deadline_for_coming_up(vllm: str) -> None:
    """A server that takes too long is given up, with what it said so far."""
    began = time.monotonic()

    with pytest.raises(EngineError, match="was not up within 'start_timeout_s' of 1 s"):
        answers(release(vllm, start_timeout_s=1), ["a"])

    assert time.monotonic() - began < 300
    assert left() == []
