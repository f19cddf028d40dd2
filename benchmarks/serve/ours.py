"""Turns of this gate's own client: one for each line that comes in, whose record goes out as a line of JSON.

    python benchmarks/serve/ours.py URL MODEL PROMPTS TOKENS CONCURRENCY

What `canary run` does for a request is in the processor time: the template,
the request, the answer's clock and its line in the journal.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from canary.journal import Journal
from canary.pipeline import Pipeline
from canary.protocols import Answers, Pair
from canary.records import Arm, Prompt, Response
from canary.run.render import render
from canary.runners.local import run


def pipeline_of(url: str, model: str, tokens: int, concurrency: int) -> Pipeline:
    """A candidate alone, asked for exactly so many tokens."""
    release = {
        "engine": "openai",
        "name": "served",
        "base_url": url,
        "model": model,
        "api": "completions",
        "sampling": {"temperature": 0, "max_tokens": tokens},
        "extra_body": {"min_tokens": tokens},
        "api_key": os.environ.get("OPENAI_API_KEY"),
    }
    written = {"suite": "none", "baseline": release, "candidate": release, "concurrency": concurrency, "warmup": 0}
    return Pipeline.model_validate(written)


def prompt_of(number: int, text: str) -> Prompt:
    """A case that is asked and not scored."""
    name = f"p{number}"
    return Prompt(
        id=name,
        digest=name,
        stratum="all",
        cluster=name,
        vars={"prompt": text},
        messages=None,
        expected=None,
        asserts=(),
    )


def turn(pipeline: Pipeline, prompts: list[Prompt]) -> dict[str, Any]:
    """One pass over the prompts."""
    said: list[Response] = []
    with tempfile.TemporaryDirectory() as folder, Journal.open(Path(folder) / "responses.jsonl") as journal:

        def write(pair: Pair, answers: Answers) -> None:  # noqa: ARG001 - the runner's contract
            journal.append(*answers)
            said.extend(answer for answer in answers if answer is not None)

        pairs = (
            Pair(baseline=None, candidate=render(each, pipeline.candidate, Arm.CANDIDATE, 0, 0), first=Arm.CANDIDATE)
            for each in prompts
        )
        began, spent = time.perf_counter(), time.process_time()
        run(pipeline, pairs, write)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - spent
    return {"cpu_s": cpu_s, "seconds": seconds} | summary(said)


def summary(said: list[Response]) -> dict[str, Any]:
    """Durations and tokens of the answers; all must have them."""
    missing = [answer for answer in said if answer.ttft_s is None or answer.output_tokens is None]
    if missing:
        raise SystemExit(f"{len(missing)} of {len(said)} requests failed, such as: {missing[0].error}")
    return {
        "output_tokens": sum(answer.output_tokens or 0 for answer in said),
        "ttft_s": [answer.ttft_s for answer in said],
        "itl_s": [gap for answer in said for gap in answer.itl_s or ()],
        "tpot_s": [answer.tpot_s for answer in said if answer.tpot_s is not None],
    }


def main() -> None:
    """Until the input ends."""
    url, model, path, tokens, concurrency = sys.argv[1:]
    pipeline = pipeline_of(url, model, int(tokens), int(concurrency))
    texts = [json.loads(line)["prompt"] for line in Path(path).read_text(encoding="utf-8").splitlines()]
    prompts = [prompt_of(number, text) for number, text in enumerate(texts)]
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        print(json.dumps(turn(pipeline, prompts)), flush=True)


if __name__ == "__main__":
    main()
