"""How much memory the driver of a large run takes.

    python benchmarks/memory.py [--cases 10000] [--runner local]

`canary run` asks both arms of a server in another process, which answers about
1,000 characters in 200 tokens. The resident memory of the driver alone is read
four times a second. Writes `results/memory-<runner>.json`, prints the largest
reading in each tenth of the answers and after the last one, and fails above
500 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
LIMIT_MB = 500
TOKENS = 200
EVERY_S = 0.25
CONCURRENCY = 16


def pieces() -> Iterator[bytes]:
    """An answer, ten tokens a chunk of HTTP."""
    said: list[dict[str, Any]] = [{"choices": [{"index": 0, "text": f" w{n:03d}"}]} for n in range(TOKENS)]
    said.append({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    said.append({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": TOKENS}})
    lines = [*(b"data: " + json.dumps(each).encode() + b"\n\n" for each in said), b"data: [DONE]\n\n"]
    for first in range(0, len(lines), 10):
        data = b"".join(lines[first : first + 10])
        yield b"%x\r\n%s\r\n" % (len(data), data)


def serve(port: Any) -> None:
    """The server; says on which port it is."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = [head, *pieces(), b"0\r\n\r\n"]

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while asked := (await reader.readuntil(b"\r\n\r\n")).lower():
                length = next(line for line in asked.split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.partition(b":")[2]))
                for piece in answer:
                    writer.write(piece)
                    await asyncio.sleep(0.001)

    async def run() -> None:
        server = await asyncio.start_server(converse, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    asyncio.run(run())


def written(folder: Path, port: int, cases: int, runner: str, concurrency: int = CONCURRENCY) -> Path:
    """A pipeline that asks the server, and its golden set."""
    arms = {
        arm: {"name": arm, "engine": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "api": "completions",
              "model": "m"}
        for arm in ("baseline", "candidate")
    }  # fmt: skip
    documents = {
        "suite": {"golden_sets": ["prompts.jsonl"], "assert": [{"type": "contains", "value": "w001"}]},
        "policy": {"version": 1},
        "pipeline": {"suite": "suite.yaml", "policy": "policy.yaml", "concurrency": concurrency,
                     "runner": {"type": runner}, **arms},
    }  # fmt: skip
    for name, document in documents.items():
        (folder / f"{name}.yaml").write_text(json.dumps(document))
    with (folder / "prompts.jsonl").open("w") as out:
        for number in range(cases):
            prompt = f"Question {number}: " + "what is to be done? " * 10
            case = {"id": f"c{number}", "vars": {"prompt": prompt}, "metadata": {"stratum": f"s{number % 5}"}}
            out.write(json.dumps(case) + "\n")
    return folder / "pipeline.yaml"


def watched(process: subprocess.Popen[bytes], runs: Path) -> Iterator[tuple[float, float, int]]:
    """Seconds, resident MB and bytes of answers, until the process ends."""
    driver, began = psutil.Process(process.pid), time.monotonic()
    while process.poll() is None:
        try:
            resident = driver.memory_info().rss / 1e6
        except psutil.NoSuchProcess:
            return
        answers = next(runs.glob("*/responses.jsonl"), None)
        yield time.monotonic() - began, resident, answers.stat().st_size if answers else 0
        time.sleep(EVERY_S)


def peaks(seen: list[tuple[float, float, int]]) -> dict[str, float]:
    """The largest reading in each tenth of the answers, and after the last one."""
    most = max(size for _, _, size in seen)
    found = {
        f"{tenth * 10} to {tenth * 10 + 10} % answered": max(
            (mb for _, mb, size in seen if size and tenth * most <= 10 * size < (tenth + 1) * most), default=0.0
        )
        for tenth in range(10)
    }
    return found | {"scored, judged and written": max(mb for _, mb, size in seen if size == most)}


def versions(runner: str) -> dict[str, str]:
    """Of what takes most of the memory."""
    libraries = ("numpy", "pydantic", "aiohttp", *(("ray",) if runner == "ray" else ()))
    return {"python": platform.python_version()} | {name: version(name) for name in libraries}


def main() -> int:
    """0 where the peak stays below the limit."""
    parser = argparse.ArgumentParser(description="memory of the driver of a large run")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--runner", choices=("local", "ray"), default="local")
    asked = parser.parse_args()
    ours, its = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(its,), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pipeline = written(folder, ours.recv(), asked.cases, asked.runner)
        command = [sys.executable, "-m", "canary", "run", str(pipeline), "--runs", str(folder / "runs")]
        with subprocess.Popen([*command, "--fail-on", "never"]) as process:
            seen = list(watched(process, folder / "runs"))
    server.kill()
    found = peaks(seen)
    document = {"versions": versions(asked.runner), **vars(asked), "seconds": seen[-1][0], "mb": found}
    (HERE / "results" / f"memory-{asked.runner}.json").write_text(json.dumps(document, indent=1) + "\n")
    for when, mb in found.items():
        print(f"{mb:6.0f} MB  {when}")
    return process.returncode or int(max(found.values()) > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
