"""What this gate measures of a server, and what measuring costs, beside `vllm bench serve`.

    SERVER_PYTHON=... python benchmarks/serve.py [--rounds 5] [--prompts 160] [--tokens 64] [--concurrency 8]

One real vLLM server of the shipped baseline; both clients ask it the same
prompts in turn, who is first changing from round to round. Writes
`results/serve.json` and `results/serve.md`, prints the table, and fails where
the clients disagree by more than their rounds do, or ours costs more
processor time a request. SERVER_PYTHON is the Python that has vLLM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from canary.engines.vllm.arguments import requested_model
from canary.engines.vllm.server import serving
from canary.records import Arm
from canary.release import VllmRelease

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CHECKPOINT = ROOT / "pipelines" / "checkpoints" / "baseline"
PYTHON = os.environ.get("SERVER_PYTHON", sys.executable)
CLIENTS = ("vllm bench serve", "canary-gate")
COST = "client CPU, ms a request"
HEAD = """\
# Beside vLLM's own benchmark

Written by `python benchmarks/serve.py`, in one run on {machine}, with {versions}. One vLLM server
of the shipped baseline (0.92 M parameters, float32, no prefix cache); {rounds} rounds of {prompts} prompts
from each client in turn, {tokens} tokens an answer, {concurrency} at a time. A cell is the median over rounds
and their range.

"""


@contextmanager
def client(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """A client that waits for its turns; Python and libraries are loaded before the first."""
    with log.open("w") as err:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True)
    try:
        heard(process, log)
        yield process
    finally:
        process.communicate(timeout=30)


def heard(process: subprocess.Popen[str], log: Path) -> Any:
    """What a client says of its turn."""
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise SystemExit(f"a client ended; it said last:\n{log.read_text()[-2000:]}")
    return json.loads(line)


def taken(process: subprocess.Popen[str], log: Path) -> Any:
    """One turn."""
    if process.stdin:
        process.stdin.write("go\n")
        process.stdin.flush()
    return heard(process, log)


def measured(record: dict[str, Any], prompts: int) -> dict[str, float]:
    """One turn in the units of the table; both clients' percentiles by the same function."""
    found = {COST: 1e3 * record["cpu_s"] / prompts, "output tokens/s": record["output_tokens"] / record["seconds"]}
    for name in ("ttft", "tpot", "itl"):
        values = 1e3 * np.asarray(record[f"{name}_s"])
        found[f"mean {name}, ms"] = float(values.mean())
        found |= {f"p{level} {name}, ms": float(np.percentile(values, level)) for level in (50, 99)}
    found["tokens in gaps"] = len(record["itl_s"])
    return found


def commands(origin: str, model: str, data: Path, asked: argparse.Namespace) -> dict[str, list[str]]:
    """Both clients, told the same."""
    theirs = {
        "backend": "openai", "base-url": origin, "endpoint": "/v1/completions", "dataset-name": "custom",
        "dataset-path": data, "num-prompts": asked.prompts, "custom-output-len": asked.tokens,
        "max-concurrency": asked.concurrency, "model": CHECKPOINT, "served-model-name": model, "temperature": 0,
        "ready-check-timeout-sec": 0, "extra-body": json.dumps({"min_tokens": asked.tokens}),
    }  # fmt: skip
    switches = ["--skip-chat-template", "--disable-shuffle", "--disable-tqdm", "--save-detailed"]
    told = [f"--{name}={value}" for name, value in theirs.items()]
    ours = [f"{origin}/v1", model, data, asked.tokens, asked.concurrency]
    return {
        CLIENTS[0]: [PYTHON, str(HERE / "serve" / "theirs.py"), *told, *switches],
        CLIENTS[1]: [sys.executable, str(HERE / "serve" / "ours.py"), *map(str, ours)],
    }


async def rounds(asked: argparse.Namespace, folder: Path) -> dict[str, list[dict[str, float]]]:
    """Every client's turns on one server; the first round is warm-up."""
    release = VllmRelease.model_validate(
        {
            "engine": "vllm", "name": "baseline", "model": str(CHECKPOINT), "python": PYTHON,
            "engine_args": {"enforce_eager": True, "dtype": "float32", "max_model_len": 256,
                            "enable_prefix_caching": False},
            "env": {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"},
        }
    )  # fmt: skip
    data = folder / "prompts.jsonl"
    lines = (ROOT / "golden_sets" / "quickstart" / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["vars"]["prompt"] for line in lines[:: max(1, len(lines) // asked.prompts)]]
    data.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts[: asked.prompts]))
    told: dict[str, list[dict[str, float]]] = {name: [] for name in CLIENTS}
    async with serving(release, Arm.BASELINE) as server:
        os.environ["OPENAI_API_KEY"] = server.key  # which both clients read
        await asyncio.to_thread(play, commands(server.origin, requested_model(release), data, asked), told, asked)
    return told


def play(both: dict[str, list[str]], told: dict[str, list[dict[str, float]]], asked: argparse.Namespace) -> None:
    """Each client in turn, the first of a round being the last of the next."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        logs = {name: Path(folder) / f"{number}.log" for number, name in enumerate(CLIENTS)}
        up = {name: stack.enter_context(client(both[name], logs[name])) for name in CLIENTS}
        for number in range(asked.rounds + 1):
            for name in CLIENTS[:: 1 if number % 2 else -1]:
                record = measured(taken(up[name], logs[name]), asked.prompts)
                if number:
                    told[name].append(record)
                    print(f"round {number}, {name}: {record[COST]:.2f} ms CPU a request", file=sys.stderr)


def rows(told: dict[str, list[dict[str, float]]]) -> Iterator[tuple[str, list[np.ndarray], bool]]:
    """Each measure with both clients' rounds, and whether they agree: their ranges meet."""
    for measure in told[CLIENTS[0]][0]:
        values = [np.array([record[measure] for record in told[name]]) for name in CLIENTS]
        yield measure, values, bool(max(map(np.min, values)) <= min(map(np.max, values)))


def table(told: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """As markdown."""
    yield f"| measure | {' | '.join(CLIENTS)} | ratio of medians | ranges meet |"
    yield "|---|--:|--:|--:|---|"
    for measure, values, agree in rows(told):
        cells = [f"{np.median(each):,.2f} ({each.min():,.2f} to {each.max():,.2f})" for each in values]
        ratio = np.median(values[1]) / np.median(values[0])
        yield f"| {measure} | {' | '.join(cells)} | {ratio:.2f} | {'yes' if agree else 'no'} |"


def main() -> int:
    """0 where both clients agree and ours costs no more."""
    parser = argparse.ArgumentParser(description="this gate's client beside vLLM's own benchmark")
    for name, default in (("rounds", 5), ("prompts", 160), ("tokens", 64), ("concurrency", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(rounds(asked, Path(folder)))
    asking = [PYTHON, "-c", "import vllm; print(vllm.__version__)"]
    theirs = subprocess.run(asking, capture_output=True, text=True, check=True)
    found = {"vllm": theirs.stdout.split()[-1], "aiohttp": version("aiohttp"), "python": platform.python_version()}
    machine = f"{os.cpu_count()} shared {platform.machine()} cores"
    document = {"machine": machine, "versions": found, **vars(asked), "measured": told}
    head = HEAD.format(machine=machine, versions=", ".join(f"{k} {v}" for k, v in found.items()), **vars(asked))
    (HERE / "results" / "serve.json").write_text(json.dumps(document, indent=1) + "\n")
    text = "\n".join(table(told))
    (HERE / "results" / "serve.md").write_text(f"{head}{text}\n")
    print(text)
    apart = [measure for measure, _, agree in rows(told) if not agree and measure != COST]
    costs = [np.median([record[COST] for record in told[name]]) for name in CLIENTS]
    return 1 if apart or costs[1] > costs[0] else 0


if __name__ == "__main__":
    sys.exit(main())
