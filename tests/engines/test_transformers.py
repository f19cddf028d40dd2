"""A checkpoint in this process: real tokens, measured, and every way to fail."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from canary.engines.transformers import open_release
from canary.errors import EngineError
from canary.protocols import Request
from canary.records import Arm, ErrorKind, Failure, Response
from canary.release import TransformersRelease

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries under the engine

WORDS = [f"w{number}" for number in range(60)]
TEMPLATE = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded random Llama that holds 32 tokens, over a vocabulary of words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("checkpoint")
    vocabulary = {word: number for number, word in enumerate(["<s>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.chat_template = (
        TEMPLATE + "{{ m.content }} {% endfor %}{% for tool in tools or [] %}{{ tool.name }} {% endfor %}"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=32, initializer_range=0.5, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def release(folder: Path | str, **fields: Any) -> TransformersRelease:
    """A release of the folder on the CPU; sampling's keys may be given flat."""
    sampling = {key: fields.pop(key) for key in ("temperature", "top_p", "max_tokens", "stop") if key in fields}
    written = {"engine": "transformers", "name": "v1", "model": str(folder), "device": "cpu", "sampling": sampling}
    return TransformersRelease.model_validate(written | fields)


def ask(text: str | None = "w1 w2 w3", **fields: Any) -> Request:
    """A request of the baseline."""
    default: dict[str, Any] = {"id": "a", "arm": Arm.BASELINE, "repeat": 0, "messages": None, "text": text, "seed": 0}
    return Request(**default | fields)


def answers(chosen: TransformersRelease, *requests: Request) -> list[Response | None]:
    """What the release says to the requests, all in flight together."""

    async def collect() -> list[Response | None]:
        async with open_release(chosen, Arm.BASELINE) as generate:
            return await asyncio.gather(*map(generate, requests))

    return asyncio.run(collect())


def answer(chosen: TransformersRelease, request: Request) -> Response:
    """The one answer."""
    (response,) = answers(chosen, request)
    assert response is not None
    return response


def reference(folder: Path, text: str, count: int) -> tuple[list[int], list[float]]:
    """The library's own greedy tokens, and their log probabilities without a cache."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt").input_ids
    with torch.inference_mode():
        whole = model.generate(ids, max_new_tokens=count, min_new_tokens=count, do_sample=False, pad_token_id=1)
        logprobs = model(whole).logits[0].log_softmax(-1)
    start, tokens = ids.shape[1], whole[0].tolist()
    return tokens[start:], [float(logprobs[at - 1, tokens[at]]) for at in range(start, len(tokens))]


def ending_with(checkpoint: Path, folder: Path, ends: list[int]) -> Path:
    """A copy of the checkpoint whose generation ends with other tokens."""
    shutil.copytree(checkpoint, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    return folder


class TestAnswer:
    """What one answer is made of."""

    def test_greedy_agrees_with_the_library(self, checkpoint: Path) -> None:
        """Tokens are those of `generate`, log probabilities those of a whole forward pass."""
        response = answer(release(checkpoint, max_tokens=12), ask())
        tokens, logprobs = reference(checkpoint, "w1 w2 w3", 12)

        assert response.output.split() == [WORDS[token - 3] for token in tokens]
        assert response.logprobs == pytest.approx(logprobs, abs=1e-4)

    def test_what_is_measured(self, checkpoint: Path) -> None:
        """Times add up, tokens are counted and billed."""
        price = {"input_per_million": 100, "output_per_million": 1000}
        response = answer(release(checkpoint, max_tokens=5, price=price), ask())

        assert (response.input_tokens, response.output_tokens) == (4, 5)
        assert response.cost_usd == pytest.approx((4 * 100 + 5 * 1000) / 1e6)
        assert response.itl_s is not None
        assert response.ttft_s is not None
        assert (len(response.itl_s), min(response.itl_s) > 0, response.ttft_s > 0) == (4, True, True)
        assert response.total_s == pytest.approx(response.ttft_s + sum(response.itl_s))
        assert response.tpot_s == pytest.approx(sum(response.itl_s) / 4)
        assert response.started_at is not None

    def test_one_token(self, checkpoint: Path) -> None:
        """One token has no gap and no time per token."""
        response = answer(release(checkpoint, max_tokens=1), ask())

        assert (response.itl_s, response.tpot_s, response.output_tokens) == ((), None, 1)

    def test_truncated(self, checkpoint: Path) -> None:
        """An answer that does not end keeps its output under an error."""
        response = answer(release(checkpoint, max_tokens=3), ask())

        assert response.error == Failure(kind=ErrorKind.TRUNCATED, message="no end within 3 tokens")
        assert (len(response.output.split()), response.finish_reason) == (3, "length")

    def test_ends_at_any_end_token(self, checkpoint: Path, tmp_path: Path) -> None:
        """The end token stops the answer, is counted, and is not shown."""
        tokens, _ = reference(checkpoint, "w1 w2 w3", 12)
        last = next(at for at in range(2, 12) if tokens[at] not in tokens[:at])
        response = answer(release(ending_with(checkpoint, tmp_path / "c", [1, tokens[last]])), ask())

        assert (response.error, response.finish_reason, response.output_tokens) == (None, "stop", last + 1)
        assert response.output.split() == [WORDS[token - 3] for token in tokens[:last]]

    def test_stop_strings(self, checkpoint: Path) -> None:
        """The answer is cut before the first of the stop strings."""
        tokens, _ = reference(checkpoint, "w1 w2 w3", 12)
        words = [WORDS[token - 3] for token in tokens]
        last = next(at for at in range(2, 12) if tokens[at] not in tokens[:at])
        response = answer(release(checkpoint, stop=["never", f" {words[last]}"]), ask())

        assert (response.output, response.error) == (" ".join(words[:last]), None)
        assert (response.finish_reason, response.output_tokens) == ("stop", last + 1)

    def test_stop_at_once(self, checkpoint: Path) -> None:
        """A stop string in front leaves an empty answer, not the whole one."""
        response = answer(release(checkpoint, stop=["w"]), ask())

        assert (response.output, response.error, response.output_tokens) == ("", None, 1)

    def test_sampling_follows_the_seed(self, checkpoint: Path) -> None:
        """A seed fixes the answer; other seeds give others."""
        drawn = answers(release(checkpoint, temperature=1.5, max_tokens=8), *(ask(seed=seed) for seed in (3, 3, 4)))
        outputs = [response.output for response in drawn if response]

        assert outputs[0] == outputs[1] != outputs[2]

    def test_a_narrow_nucleus_is_greedy(self, checkpoint: Path) -> None:
        """With a tiny `top_p` only the likeliest token is left to draw."""
        greedy = answer(release(checkpoint, max_tokens=8), ask())
        drawn = answer(release(checkpoint, max_tokens=8, temperature=1.5, top_p=1e-6), ask(seed=5))

        assert drawn.output == greedy.output

    def test_the_draw_follows_the_distribution(self, checkpoint: Path) -> None:
        """Frequencies of 600 first tokens are their probabilities, within 4 standard errors."""
        drawn = answers(release(checkpoint, temperature=1, max_tokens=1), *(ask(seed=seed) for seed in range(600)))
        shares: dict[str, float] = {}
        for response in drawn:
            assert response is not None
            assert response.logprobs is not None
            shares[response.output] = math.exp(response.logprobs[0])
        outputs = [response.output for response in drawn if response]

        for output, share in shares.items():
            assert abs(outputs.count(output) / 600 - share) <= 4 * math.sqrt(share * (1 - share) / 600) + 1 / 600

    def test_identity(self, checkpoint: Path) -> None:
        """An answer carries its request's id, arm and repeat."""
        response = answer(release(checkpoint, max_tokens=1), ask(id="z", arm=Arm.CANDIDATE, repeat=3))

        assert (response.id, response.arm, response.repeat) == ("z", Arm.CANDIDATE, 3)


class TestChat:
    """Turns go through the tokenizer's chat template."""

    def test_template(self, checkpoint: Path) -> None:
        """Turns and tools are written by the template, which adds its own special tokens."""
        turns = ({"role": "user", "content": "w1 w2"}, {"role": "user", "content": "w3"})
        chosen = release(checkpoint, max_tokens=4)
        plain, with_tool = answers(
            chosen, ask(None, messages=turns), ask(None, messages=turns, tools=({"name": "w9"},))
        )

        assert plain is not None
        assert with_tool is not None
        assert (plain.input_tokens, with_tool.input_tokens) == (3, 4)

    def test_refused_turns(self, checkpoint: Path) -> None:
        """Turns that the template refuses are our fault."""
        response = answer(release(checkpoint), ask(None, messages=({"role": "system", "content": "w1"},)))
        message = "the chat template refuses the messages: no system turn"

        assert response.error == Failure(kind=ErrorKind.CLIENT, message=message)

    def test_no_template(self, checkpoint: Path, tmp_path: Path) -> None:
        """A checkpoint without a template cannot be asked in turns."""
        folder = tmp_path / "c"
        shutil.copytree(checkpoint, folder)
        (folder / "chat_template.jinja").unlink()

        with pytest.raises(EngineError, match="has no chat template: write 'prompt' as one text, not as turns"):
            answer(release(folder), ask(None, messages=({"role": "user", "content": "w1"},)))


class TestFault:
    """What goes wrong inside one answer is data."""

    def test_prompt_too_long(self, checkpoint: Path) -> None:
        """A prompt that fills the context is refused before it is run."""
        response = answer(release(checkpoint), ask(" ".join(["w1"] * 31)))
        message = "the prompt has 32 tokens, the model holds 32 with the answer"

        assert response.error == Failure(kind=ErrorKind.CONTEXT_LENGTH, message=message)
        assert (response.output, response.ttft_s, response.output_tokens) == ("", None, 0)

    def test_answer_fills_the_context(self, checkpoint: Path) -> None:
        """An answer is cut where the context ends."""
        response = answer(release(checkpoint), ask(" ".join(["w1"] * 29)))

        assert response.error == Failure(kind=ErrorKind.TRUNCATED, message="no end within 2 tokens")

    def test_too_slow(self, checkpoint: Path) -> None:
        """An answer past its deadline is the server's fault, as far as it came."""
        response = answer(release(checkpoint, timeout_s=1e-6), ask())

        assert response.error == Failure(kind=ErrorKind.SERVER, message="no end within 1e-06 s")
        assert len(response.output.split()) == 1

    def test_a_model_that_breaks(self, checkpoint: Path, tmp_path: Path) -> None:
        """Weights that are not numbers are the server's fault, not an answer."""
        import torch
        from transformers import AutoModelForCausalLM

        folder = tmp_path / "c"
        shutil.copytree(checkpoint, folder)
        model = AutoModelForCausalLM.from_pretrained(folder)
        torch.nn.init.constant_(model.model.norm.weight, math.nan)
        model.save_pretrained(folder)
        response = answer(release(folder), ask())

        assert response.error == Failure(
            kind=ErrorKind.SERVER, message="ArithmeticError: the model's logits are not finite"
        )

    def test_cancelled(self, checkpoint: Path) -> None:
        """A cancelled request leaves the arm free for the next one."""

        async def cancel() -> Response | None:
            async with open_release(release(checkpoint, max_tokens=2), Arm.BASELINE) as generate:
                given_up = asyncio.ensure_future(generate(ask()))
                await asyncio.sleep(0)  # it is asked now
                given_up.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await given_up
                return await generate(ask())

        response = asyncio.run(cancel())

        assert response is not None
        assert response.output_tokens == 2


class TestOpen:
    """What never comes up."""

    def test_missing_checkpoint(self, tmp_path: Path) -> None:
        """A path that is not there is named with its arm, its release and the cause."""
        with pytest.raises(EngineError, match=rf"^\w+ 'v1': .* cannot load '{tmp_path}/gone' on cpu: \w+: "):
            answer(release(tmp_path / "gone"), ask())

    def test_broken_tokenizer(self, checkpoint: Path, tmp_path: Path) -> None:
        """A file that cannot be parsed is an engine that never came up."""
        shutil.copytree(checkpoint, tmp_path / "c")
        (tmp_path / "c" / "tokenizer.json").write_text("{}")

        with pytest.raises(EngineError, match=rf"cannot load '{tmp_path}/c' on cpu: "):
            answer(release(tmp_path / "c"), ask())

    def test_missing_weights(self, checkpoint: Path, tmp_path: Path) -> None:
        """Weights that the library would invent are missing."""
        from safetensors.torch import load_file, save_file

        shutil.copytree(checkpoint, tmp_path / "c")
        path = tmp_path / "c" / "model.safetensors"
        weights = {name: value for name, value in load_file(path).items() if "layers.1.mlp" not in name}
        save_file(weights, path, {"format": "pt"})

        with pytest.raises(
            EngineError, match=r"3 weights are missing, 'model\.layers\.1\.mlp\.down_proj\.weight' first"
        ):
            answer(release(tmp_path / "c"), ask())

    def test_device_that_is_not_there(self, checkpoint: Path) -> None:
        """A device that this machine lacks is an engine that never came up."""
        with pytest.raises(EngineError, match="on cuda:77: "):
            answer(release(checkpoint, device="cuda:77"), ask())

    def test_threads(self, checkpoint: Path) -> None:
        """The arm's CPU threads are given back when it closes."""
        import torch

        def seen_by_a_new_thread() -> int:
            with ThreadPoolExecutor(1) as thread:
                return int(thread.submit(torch.get_num_threads).result())

        before = seen_by_a_new_thread()

        async def inside() -> int:
            async with open_release(release(checkpoint, threads=before + 1), Arm.BASELINE) as generate:
                await generate(ask())
                return seen_by_a_new_thread()

        assert (asyncio.run(inside()), seen_by_a_new_thread()) == (before + 1, before)
