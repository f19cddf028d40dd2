"""A checkpoint run in this process, token by token, on CPU or GPU.

A device answers one request at a time, whichever arm asks, so that no arm is
slowed down by the other. Times count from the moment a request's turn comes.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jinja2

from canary.engines import by_arm
from canary.errors import EngineError, MissingExtra
from canary.protocols import Generate, Request
from canary.records import Arm, ErrorKind, Failure, Response
from canary.release import TransformersRelease
from canary.sharing import named

SMALL = 50_000_000
"""A model of fewer weights is slowed down, not sped up, by a second CPU thread."""

_loading = threading.Lock()
"""Loading changes defaults of the whole process, and so does the first import."""

_FAULTS = (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""What a model's own code raises; running out of GPU memory is a RuntimeError."""


def open_release(release: TransformersRelease, arm: Arm) -> AbstractAsyncContextManager[Generate]:
    """The checkpoint for one arm alone; see `open_shared`."""
    return open_shared({arm: release})


@asynccontextmanager
async def open_shared(releases: Mapping[Arm, TransformersRelease]) -> AsyncIterator[Generate]:
    """Yields answers of the checkpoint; raises EngineError when it cannot load."""
    release = next(iter(releases.values()))
    thread = _thread(release.device)
    run = functools.partial(asyncio.get_running_loop().run_in_executor, thread)
    try:
        loaded = await run(_load, release)
    except EngineError as error:
        raise EngineError(f"{named(releases)}: {error}") from error
    try:
        yield by_arm({arm: _answering(replace(loaded, release=own), thread) for arm, own in releases.items()})
    finally:
        await run(_set_threads, _all_threads())


def _answering(checkpoint: _Checkpoint, thread: ThreadPoolExecutor) -> Generate:
    """Requests of one release, in turn with all others of the thread."""

    async def generate(request: Request) -> Response:
        cancelled = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, checkpoint.answer, request, cancelled)
        finally:
            cancelled.set()

    return generate


@functools.cache
def _thread(device: str) -> ThreadPoolExecutor:
    """One thread a device: who shares it takes turns, in the order asked."""
    return ThreadPoolExecutor(1, thread_name_prefix=f"canary-{device}")


@functools.cache
def _all_threads() -> int:
    """CPU threads torch takes by itself."""
    import torch

    return int(torch.get_num_threads())


def _set_threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)


def _load(release: TransformersRelease) -> _Checkpoint:
    with _loading:
        tokenizer, model = _read(release)
        alone = sum(weight.numel() for weight in model.parameters()) < SMALL
        threads = release.threads or (1 if alone else _all_threads())
    return _Checkpoint(release, tokenizer, model, threads, _ends(model, tokenizer), _context(model))


def _read(release: TransformersRelease) -> tuple[Any, Any]:
    """Tokenizer and model, whole and on their device."""
    try:
        import torch
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra("engine 'transformers'", "embeddings") from error
    transformers.utils.logging.disable_progress_bar()
    path, device = release.model, release.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kept: dict[str, Any] = {"local_files_only": Path(path).exists()}
    if release.revision is not None:
        kept["revision"] = release.revision
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **kept)
        model, loaded = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=release.dtype, output_loading_info=True, **kept
        )
        _require_whole(loaded)
        return tokenizer, model.to(device).eval()
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        what = path if release.revision is None else f"{path}@{release.revision}"
        raise EngineError(f"engine 'transformers' cannot load '{what}' on {device}: {cause}") from error


def _require_whole(loaded: Mapping[str, Any]) -> None:
    """Missing weights would be filled with noise, under a warning."""
    if missing := sorted(loaded["missing_keys"]):
        raise LookupError(f"{len(missing)} weights are missing, '{missing[0]}' first")


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer."""
    ends = [tokenizer.eos_token_id]
    for config in (model.config, model.generation_config):
        end = getattr(config, "eos_token_id", None)
        ends += end if isinstance(end, list) else [end]
    return frozenset(end for end in ends if end is not None)


def _context(model: Any) -> float:
    """Most tokens the model can hold; infinite where it does not say."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return math.inf if limit is None else limit


@dataclass(slots=True)
class _Draft:
    """An answer while it is written."""

    started_at: float = field(default_factory=time.time)
    sent: float = field(default_factory=time.perf_counter)
    input_tokens: int | None = None
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    text: str | None = None
    """The answer once it has ended; until then the tokens speak."""
    finish_reason: str | None = None
    error: Failure | None = None

    def fail(self, kind: ErrorKind, message: str) -> None:
        self.error = Failure(kind=kind, message=message)


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """A loaded model; used from its device's thread."""

    release: TransformersRelease
    tokenizer: Any
    model: Any
    threads: int
    ends: frozenset[int]
    context: float

    def answer(self, request: Request, cancelled: threading.Event) -> Response:
        """One answer, or as much of it as came before a fault."""
        import torch

        _set_threads(self.threads)
        draft = _Draft()
        try:
            with torch.inference_mode():
                self._write(draft, request, cancelled)
        except jinja2.TemplateError as error:
            draft.fail(ErrorKind.CLIENT, f"the chat template refuses the messages: {error}")
        except _FAULTS as error:
            draft.fail(ErrorKind.SERVER, f"{type(error).__name__}: {error}")
        return self._response(draft, request)

    def _write(self, draft: _Draft, request: Request, cancelled: threading.Event) -> None:
        prompt = self._encode(request)
        draft.input_tokens = len(prompt)
        room = self.context - len(prompt)
        if room < 1:
            held = f"the prompt has {len(prompt)} tokens, the model holds {self.context}"
            draft.fail(ErrorKind.CONTEXT_LENGTH, f"{held} with the answer")
            return
        limit = int(min(self.release.sampling.max_tokens, room))
        deadline = draft.sent + self.release.timeout_s
        for token, logprob in itertools.islice(self._tokens(prompt, request.seed), limit):
            draft.times.append(time.perf_counter())
            draft.tokens.append(token)
            draft.logprobs.append(logprob)
            if self._ended(draft):
                draft.finish_reason = "stop"
                return
            if cancelled.is_set() or draft.times[-1] > deadline:
                draft.fail(ErrorKind.SERVER, f"no end within {self.release.timeout_s:g} s")
                return
        draft.finish_reason = "length"
        draft.fail(ErrorKind.TRUNCATED, f"no end within {limit} tokens")

    def _encode(self, request: Request) -> list[int]:
        text, tokenizer = request.text, self.tokenizer
        if request.messages is None:
            ids: list[int] = tokenizer(text).input_ids
        elif tokenizer.chat_template is None:
            raise EngineError(f"'{self.release.model}' has no chat template: write 'prompt' as one text, not as turns")
        else:
            turns, tools = list(request.messages), list(request.tools or ()) or None
            text = tokenizer.apply_chat_template(turns, tools=tools, tokenize=False, add_generation_prompt=True)
            ids = tokenizer(text, add_special_tokens=False).input_ids
        if not ids:
            raise ValueError("the prompt has no tokens")
        return ids

    def _tokens(self, prompt: list[int], seed: int) -> Iterator[tuple[int, float]]:
        """Tokens without end, each with its log probability."""
        import torch

        random = torch.Generator(self.model.device).manual_seed(seed)
        last = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(self.model.forward).parameters else {}
        ids, cache = prompt, None
        while True:
            given = torch.tensor([ids], device=self.model.device)
            out = self.model(input_ids=given, past_key_values=cache, use_cache=True, **last)
            cache = out.past_key_values
            logprobs = out.logits[0, -1].float().log_softmax(-1)
            token = int(self._choose(logprobs, random))
            logprob = float(logprobs[token])
            if not math.isfinite(logprob):
                raise ArithmeticError("the model's logits are not finite")
            yield token, logprob
            ids = [token]

    def _choose(self, logprobs: Any, random: Any) -> Any:
        """The likeliest token, or a draw from the nucleus of `top_p`."""
        import torch

        sampling = self.release.sampling
        if sampling.temperature == 0:
            return logprobs.argmax()
        shares, order = (logprobs / sampling.temperature).softmax(-1).sort(descending=True)
        shares[shares.cumsum(-1) - shares >= sampling.top_p] = 0
        return order[torch.multinomial(shares, 1, generator=random)]

    def _ended(self, draft: _Draft) -> bool:
        """Whether the answer is complete; writes its text then."""
        if draft.tokens[-1] in self.ends:
            draft.text = self._text(draft.tokens[:-1])
            return True
        stops = self.release.sampling.stop
        if not stops:
            return False
        tail = self._text(draft.tokens[-(32 + max(map(len, stops))) :])
        if any(stop in tail for stop in stops):
            text = self._text(draft.tokens)
            found = (at for stop in stops if (at := text.find(stop)) >= 0)
            draft.text = text[: min(found, default=len(text))]
        return draft.text is not None

    def _text(self, tokens: list[int]) -> str:
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def _response(self, draft: _Draft, request: Request) -> Response:
        gaps = tuple(after - before for before, after in itertools.pairwise(draft.times))
        price, count = self.release.token_price, len(draft.tokens)
        return Response(
            id=request.id,
            arm=request.arm,
            repeat=request.repeat,
            output=self._text(draft.tokens) if draft.text is None else draft.text,
            error=draft.error,
            ttft_s=draft.times[0] - draft.sent if draft.times else None,
            itl_s=gaps if draft.times else None,
            tpot_s=sum(gaps) / len(gaps) if gaps else None,
            total_s=draft.times[-1] - draft.sent if draft.times else None,
            input_tokens=draft.input_tokens,
            output_tokens=count,
            cost_usd=price.of(draft.input_tokens or 0, count) if price else None,
            finish_reason=draft.finish_reason,
            logprobs=tuple(draft.logprobs),
            started_at=draft.started_at,
        )
