"""Time and memory of `canary compare --traffic`, beside reading the files with the standard library.

    python benchmarks/traffic.py [requests an arm]

Writes two logs of 100,000 routed requests each, with latency, cost and two
scores, into a temporary folder, then measures in processes of their own: (a)
`canary compare --traffic`, (b) the same as a look, and (c) `json.loads` of
every line, the least any tool in Python must do.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_log(path: Path, arm: str, requests: int, seed: int) -> None:
    """One arm that is served like the other."""
    rng = np.random.default_rng(seed)
    starts = np.sort(1.7e9 + 7_200 * rng.random(requests))
    ttft, gap, cost = (
        rng.lognormal(-1, 0.4, requests),
        rng.lognormal(-4, 0.3, requests),
        rng.lognormal(-6, 0.5, requests),
    )
    failed, passed, tone = rng.random(requests) < 0.003, rng.random(requests) < 0.95, rng.random(requests)
    with path.open("w", encoding="utf-8") as file:
        for i in range(requests):
            line = {"id": f"{arm}{i}", "started_at": float(starts[i]), "share": 0.5, "session": f"{arm}s{i // 4}"}
            answer = {
                "output": "an answer of ordinary length " * 4,
                "ttft_s": float(ttft[i]),
                "tpot_s": float(gap[i]),
                "output_tokens": 120,
                "cost_usd": float(cost[i]),
                "scores": {"helpful": bool(passed[i]), "tone": float(tone[i])},
            }
            file.write(json.dumps(line | ({"error": {"kind": "server"}} if failed[i] else answer)) + "\n")


def measure(command: list[str]) -> tuple[float, int]:
    """Seconds and peak MiB of one process, the least time of two."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return min(seconds), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def main() -> None:
    """Print the figures."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{arm}.jsonl" for arm in ("baseline", "candidate")]
        for seed, path in enumerate(files):
            write_log(path, path.stem[0], requests, seed)
        names = [str(path) for path in files]
        reader = "import json, sys\nfor name in sys.argv[1:]:\n    rows = [json.loads(line) for line in open(name)]"
        read, read_memory = measure([sys.executable, "-c", reader, *names])
        print(f"{requests:,} requests an arm, {sum(path.stat().st_size for path in files) / 2**20:.0f} MiB")
        print(f"json.loads          {read:6.1f} s  {read_memory:6,} MiB")
        for label, options in (("closed window", []), ("look", ["--look"])):
            command = [sys.executable, "-m", "canary", "compare", *names, "--traffic", "--fail-on", "never", *options]
            seconds, memory = measure(command)
            print(f"{label:<18}  {seconds:6.1f} s  {memory:6,} MiB  {seconds / read:.1f} x json.loads")


if __name__ == "__main__":
    main()
