"""How fast responses become scores, on one core.

    python benchmarks/assertions.py

1. contains + regex + is-json (with and without a schema) over 20,000
   responses, Score records included; next to reading the specs again for each
   response.
2. `similar` over 2,000 answers: sorted by length, in batches, each distinct
   text once, kept on disk; next to one text at a time, and to a second run.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core, before torch is imported

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from canary.assertions.scoring import score
from canary.models.sentence_transformers import MiniLM
from canary.protocols import Embedder, Tools
from canary.records import Arm, Prompt, Response

CASES = 20_000
WORDS = [
    "order",
    "ship",
    "refund",
    "total",
    "price",
    "late",
    "box",
    "email",
    "phone",
    "street",
    "return",
    "card",
    "please",
    "thank",
    "number",
]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "total": {"type": "number", "minimum": 0}, "note": {"type": "string"}},
    "required": ["city", "total", "note"],
    "additionalProperties": False,
}
PLAIN = [
    {"type": "contains", "value": "{{expected}}"},
    {"type": "regex", "value": r'"total":\s*\d+(\.\d+)?'},
    {"type": "is-json"},
]
WITH_SCHEMA = [*PLAIN[:2], {"type": "is-json", "value": SCHEMA}]


def no_embedder() -> Embedder:
    """Nothing here asks for one."""
    raise NotImplementedError


TOOLS = Tools(embed=no_embedder)


def case(index: int) -> Prompt:
    """A question whose answer names a city."""
    return Prompt(
        id=f"case-{index}",
        digest="",
        stratum="json",
        cluster=f"case-{index}",
        vars={"question": f"Where is order {index}?"},
        messages=None,
        expected=f"city-{index % 97}",
        asserts=(),
    )


def answer(index: int) -> Response:
    """JSON with a note of 25 words; of ten, one is cut off and one lacks the note."""
    document = {"city": f"city-{index % 97}", "total": index % 500}
    if index % 10 != 1:
        document["note"] = " ".join(random.Random(index).choices(WORDS, k=25))
    text = json.dumps(document)
    return Response(id=f"case-{index}", arm=Arm.CANDIDATE, output=text if index % 10 else text[:-1])


def seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """The best of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def deterministic() -> None:
    """Rates of the structural assertions."""
    prompts, responses = [case(index) for index in range(CASES)], [answer(index) for index in range(CASES)]
    pairs = list(zip(prompts[:500], responses[:500], strict=True))
    for name, specs in (("contains + regex + is-json", PLAIN), ("the same, with a schema", WITH_SCHEMA)):
        ours = CASES / seconds(lambda specs=specs: score(prompts, responses, specs, TOOLS, {}))
        naive = len(pairs) / seconds(
            lambda specs=specs: [score([prompt], [response], specs, TOOLS, {}) for prompt, response in pairs]
        )
        print(
            f"{name}: {ours:,.0f} responses/s; specs read for each response: {naive:,.0f}/s; ratio {ours / naive:.1f}"
        )


def texts(count: int) -> list[str]:
    """Answers of 3 to 80 words, in chance order, every third one a repeat."""
    rng = random.Random(7)
    distinct = [" ".join(rng.choices(WORDS, k=rng.randint(3, 80))) for _ in range(count * 2 // 3)]
    return rng.sample(distinct + rng.choices(distinct, k=count - len(distinct)), count)


def embeddings(count: int = 1200) -> None:
    """Rates of the embedder."""
    import torch

    torch.set_num_threads(1)
    asked = texts(count)
    with tempfile.TemporaryDirectory() as folder:
        MiniLM(Path(folder) / "warm.sqlite3")(["warm up"])
        embedder = MiniLM(Path(folder) / "ours.sqlite3")
        embedder(["warm up"])
        first = seconds(lambda: embedder(asked), 1)
        second = seconds(lambda: MiniLM(Path(folder) / "ours.sqlite3")(asked))
        single = one_by_one(embedder, asked[:200]) * count / 200
    print(f"{count} texts: {first:.2f} s; one at a time: {single:.2f} s; ratio {single / first:.1f}")
    print(f"second run: {second:.4f} s; ratio {first / second:,.0f}")


def one_by_one(embedder: MiniLM, asked: Sequence[str]) -> float:
    """Seconds without batch, order or memory."""
    return seconds(lambda: [embedder._embedded([text]) for text in asked], 1)  # noqa: SLF001 - what it is compared with


if __name__ == "__main__":
    deterministic()
    embeddings()
