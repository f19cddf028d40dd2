"""Turns of `vllm bench serve`: one for each line that comes in, whose record goes out as a line of JSON.

Started by `benchmarks/serve.py` in the Python that has vLLM, with that
command's own arguments. The processor time is that of its requests: reading
the data set, scraping the server and computing the summary are left out. The
data set is read here, since its reader needs pandas.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

spent = {"requests": 0.0, "beside": 0.0}
results: list[dict[str, Any]] = []


def beside(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, its processor time counted apart."""
    if not asyncio.iscoroutinefunction(function):

        def measured(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent["beside"] += time.process_time() - began

        return measured

    async def measured_later(*args: Any, **kwargs: Any) -> Any:
        began = time.process_time()
        try:
            return await function(*args, **kwargs)
        finally:
            spent["beside"] += time.process_time() - began

    return measured_later


def kept(benchmark: Callable[..., Any]) -> Callable[..., Any]:
    """The same, its result and processor time kept."""

    async def measured(*args: Any, **kwargs: Any) -> Any:
        began, before = time.process_time(), spent["beside"]
        result = await benchmark(*args, **kwargs)
        spent["requests"] = time.process_time() - began - (spent["beside"] - before)
        results.append(result)
        return result

    return measured


def samples(args: Any, tokenizer: Any) -> list[Any]:  # noqa: ARG001 - the server counts tokens
    """The prompts of `--dataset-path`, in their order."""
    from vllm.benchmarks.datasets import SampleRequest

    lines = Path(args.dataset_path).read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["prompt"] for line in lines]
    length = args.custom_output_len
    return [SampleRequest(prompt=text, prompt_len=len(text), expected_output_len=length) for text in texts]


def turn(args: Any) -> dict[str, Any]:
    """One benchmark, as `benchmarks/serve.py` compares it."""
    from vllm.benchmarks import serve

    with contextlib.redirect_stdout(sys.stderr):
        serve.main(copy.copy(args))  # it writes into them
    result = results.pop()
    if result["completed"] != len(result["ttfts"]):
        raise SystemExit(f"only {result['completed']} of {len(result['ttfts'])} requests succeeded")
    lengths, ttfts, itls = result["output_lens"], result["ttfts"], result["itls"]
    return {
        "cpu_s": spent["requests"],
        "seconds": result["duration"],
        "output_tokens": sum(lengths),
        "ttft_s": ttfts,
        "itl_s": [gap for gaps in itls for gap in gaps],
        "tpot_s": [sum(gaps) / (length - 1) for gaps, length in zip(itls, lengths, strict=True) if length > 1],
    }


def main() -> None:
    """Until the input ends."""
    from vllm.benchmarks import serve
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = FlexibleArgumentParser()
    serve.add_cli_args(parser)
    args = parser.parse_args(sys.argv[1:])
    for name in ("calculate_metrics", "fetch_spec_decode_metrics", "fetch_diffusion_metrics"):
        setattr(serve, name, beside(getattr(serve, name)))
    serve.benchmark, serve.get_samples = kept(serve.benchmark), samples
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        print(json.dumps(turn(args)), flush=True)


if __name__ == "__main__":
    main()
