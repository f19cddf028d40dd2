"""The engine `openai` against real servers of a real checkpoint, vLLM and `transformers serve`.

They are asked what the same checkpoint says in this process. Where the servers
are in another environment, SERVER_PYTHON names its interpreter.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from canary.engines import open_engine
from canary.errors import EngineError
from canary.protocols import Request
from canary.records import Arm, ErrorKind, Response
from canary.release import OpenAIRelease, TransformersRelease
from tests.engines.conftest import hello
from tests.runners.actors import HANGS_S, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

PYTHON = os.environ.get("SERVER_PYTHON", sys.executable)
WORDS = [f"w{number}" for number in range(60)]
PROMPTS = ["w1 w2 w3", "w9", "w4 w4 w4 w4 w30", "w59 w0"]
NEEDS = {"transformers": "accelerate fastapi openai transformers uvicorn", "vllm": "vllm"}
"""The packages that each server needs."""
FIND = "import sys; from importlib.util import find_spec; raise SystemExit(None in map(find_spec, sys.argv[1:]))"
VLLM = "--served-model-name tiny --enforce-eager --dtype float32 --max-model-len 64 --enable-prompt-tokens-details"


@dataclass(frozen=True)
class Server:
    """A server that is up."""

    kind: str
    url: str
    checkpoint: Path

    @property
    def model(self) -> str:
        """The name it goes by."""
        return "tiny" if self.kind == "vllm" else str(self.checkpoint)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded random Llama over a vocabulary of words."""
    pytest.importorskip("torch")
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("checkpoint")
    vocabulary = {word: number for number, word in enumerate(["<s>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}"
    fast.save_pretrained(folder)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64, initializer_range=0.5, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=sorted(NEEDS))
def server(
    request: pytest.FixtureRequest, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One real server of the checkpoint."""
    kind = request.param
    if subprocess.run([PYTHON, "-c", FIND, *NEEDS[kind].split()], check=False).returncode:
        pytest.skip(f"NOT TESTED against a real server: {PYTHON} lacks one of {NEEDS[kind]}")
    checkpoint = request.getfixturevalue("checkpoint")
    (port,) = free_ports(1)
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint), *VLLM.split()]
    if kind == "transformers":
        serve = "from transformers.cli.transformers import main; main()"
        command = [PYTHON, "-c", serve, "serve", str(checkpoint), "--device", "cpu"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as out:
        command += ["--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        await_health(f"http://127.0.0.1:{port}/health", process, log)
        yield Server(kind, f"http://127.0.0.1:{port}/v1", checkpoint)
    finally:
        process.terminate()
        process.wait(HANGS_S)


def await_health(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns once the server answers; fails with its last words."""
    for _ in range(600):
        time.sleep(0.5)
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            continue
    pytest.fail(log.read_text()[-2000:])


def answers(release: OpenAIRelease | TransformersRelease, requests: Sequence[Request]) -> list[Response]:
    """All requests at once."""

    async def scenario() -> list[Response | None]:
        async with open_engine(release, Arm.CANDIDATE) as generate:
            return await asyncio.gather(*map(generate, requests))

    return [response for response in asyncio.run(scenario()) if response is not None]


def served(server: Server, **fields: Any) -> OpenAIRelease:
    """A release at the server."""
    written = {"engine": "openai", "name": "v2", "model": server.model, "base_url": server.url}
    return OpenAIRelease.model_validate(written | {"sampling": {"max_tokens": 8}} | fields)


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_same_answers_as_in_this_process(server: Server, api: str) -> None:
    """At temperature 0 the served checkpoint says what it says in this process, and stops where it does."""
    requests = [hello(number, text=prompt) for number, prompt in enumerate(PROMPTS)]
    written = {"name": "v2", "sampling": {"max_tokens": 8}, "price": {"input_per_million": 1, "output_per_million": 2}}
    model = {"engine": "transformers", "model": str(server.checkpoint), "device": "cpu", "dtype": "float32"}
    here = TransformersRelease.model_validate(written | model)
    there = served(server, api=api, **written)

    for expected, response in zip(answers(here, requests), answers(there, requests), strict=True):
        assert response.output.split() == expected.output.split()
        assert (response.input_tokens, response.output_tokens) == (expected.input_tokens, expected.output_tokens)
        assert response.finish_reason == expected.finish_reason
        assert (response.error and response.error.kind) == (expected.error and expected.error.kind)
        assert response.cost_usd == pytest.approx(expected.cost_usd)


def test_measurements(server: Server) -> None:
    """Tokens stream in, one after the other, and their times add up; a busy server may send several together."""
    asked, measured = served(server, sampling={"max_tokens": 40}), list[Response]()
    while len(measured) < 8 or (len(measured) < 100 and max(len(one.itl_s or ()) for one in measured) <= 5):
        measured += answers(asked, [hello(text="w1 w2 w3")])

    for response in measured:
        assert response.ttft_s is not None
        assert response.total_s is not None
        assert response.itl_s is not None
        assert 0 < response.ttft_s <= response.total_s <= response.attempts[0].seconds
        assert sum(response.itl_s) <= response.total_s - response.ttft_s + 1e-6
        assert len(response.itl_s) <= 39
        assert not response.itl_s or response.tpot_s == pytest.approx((response.total_s - response.ttft_s) / 39)
    assert max(len(response.itl_s or ()) for response in measured) > 5


def test_many_at_once(server: Server) -> None:
    """Every request is answered, at the first try."""
    responses = answers(served(server), [hello(number, text=f"w{number} w2") for number in range(32)])

    assert [len(response.attempts) for response in responses] == [1] * 32
    assert {response.output_tokens for response in responses} <= set(range(1, 9))


def test_unknown_model(server: Server) -> None:
    """The server's own words stop the run."""
    with pytest.raises(EngineError, match=r"candidate 'v2' at .* rejects our requests: HTTP 40[04]: .*nonesuch"):
        answers(served(server, model="nonesuch"), [hello()])


def test_context_length(server: Server) -> None:
    """A prompt that does not fit is a fact about the release."""
    if server.kind != "vllm":
        pytest.skip("transformers serve takes prompts of any length")
    (response,) = answers(served(server), [hello(text="w1 " * 100)])

    assert response.error is not None
    assert response.error.kind is ErrorKind.CONTEXT_LENGTH


def test_whole_answer(server: Server) -> None:
    """Asked not to stream, the server's answer has no token times, and `stream_options` is unlearned on the way."""
    (response,) = answers(served(server, extra_body={"stream": False}), [hello(text="w1 w2 w3")])

    assert (response.output_tokens, response.ttft_s, response.itl_s) == (8, None, None)


def test_cached_tokens(server: Server) -> None:
    """What the server read from its prefix cache is told apart."""
    if server.kind != "vllm":
        pytest.skip("transformers serve counts no cached tokens")
    # One block of vLLM's cache on a CPU is 128 tokens, more than this model holds: nothing can be cached.
    (response,) = answers(served(server), [hello(text="w1 w2 w3")])

    assert response.cached_tokens == 0
