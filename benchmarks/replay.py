"""Time and memory of `canary replay` on a large run, beside reading it with the standard library.

    python benchmarks/replay.py [pairs]

Writes a sealed run of 100,000 pairs in 20 strata with 3 metrics, latency and
cost into a temporary folder, then measures in processes of their own: (a)
`canary replay RUN`, from files to verdict, and (b) `json.loads` of every line
of the same files, the least any tool in Python must do.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from canary.codec import golden_digest
from canary.digest import digest_of
from canary.evaluate import evaluate
from canary.pipeline import Suite
from canary.plan import Plan, ReleasePlan, StratumPlan
from canary.policy import Policy
from canary.records import Arm, Evidence, Prompt, Response, Scale, Score
from canary.run.recorded import Judged
from canary.run.show import keep

STRATA = 20
METRICS = ("exact", "valid", "tone")


def make_run(pairs: int, path: Path) -> None:
    """A run whose arms differ by noise only."""
    rng = np.random.default_rng(0)
    prompts = tuple(
        Prompt(
            id=f"case-{i:06d}",
            digest=digest_of(i),
            stratum=f"s{i % STRATA:02d}",
            cluster=f"case-{i:06d}",
            vars={"prompt": f"question {i}"},
            messages=None,
            expected=str(i),
            asserts=(),
        )
        for i in range(pairs)
    )
    responses: list[Response] = []
    scores: list[Score] = []
    hard = rng.random((pairs, len(METRICS))) < 0.1
    for arm in Arm:
        ttft, gap = rng.lognormal(-1.5, 0.3, pairs), rng.lognormal(-4, 0.2, pairs)
        tokens = rng.integers(20, 200, pairs)
        wrong = hard ^ (rng.random((pairs, len(METRICS))) < 0.01)
        for i, prompt in enumerate(prompts):
            responses.append(
                Response(
                    id=prompt.id,
                    arm=arm,
                    output=f"the answer to question {i} is {i}",
                    ttft_s=float(ttft[i]),
                    tpot_s=float(gap[i]),
                    total_s=float(ttft[i] + gap[i] * (tokens[i] - 1)),
                    input_tokens=100,
                    output_tokens=int(tokens[i]),
                    cost_usd=float(1e-6 * tokens[i]),
                    started_at=1.7e9 + 0.05 * i,
                )
            )
            scores += [
                Score(
                    id=prompt.id,
                    arm=arm,
                    repeat=0,
                    metric=metric,
                    scale=Scale.PASS_FAIL,
                    value=float(not wrong[i, m]),
                    passed=not wrong[i, m],
                )
                for m, metric in enumerate(METRICS)
            ]
    metrics = {metric: {"tier": "blocking"} for metric in METRICS}
    plan = Plan(
        stage="staging",
        baseline=ReleasePlan(name="b", digest="0" * 64, release={}),
        candidate=ReleasePlan(name="c", digest="1" * 64, release={}),
        policy=Policy.model_validate({"quality": {"metrics": metrics}}),
        suite=Suite(golden_sets=("none",)),
        strata=tuple(StratumPlan(name=f"s{k:02d}", cases=pairs // STRATA, weight=1 / STRATA) for k in range(STRATA)),
        golden_sha256=golden_digest(prompts),
        seed=0,
        versions={},
    )
    evidence = Evidence(prompts=prompts, responses=tuple(responses), scores=tuple(scores))
    keep(Judged(verdict=evaluate(evidence, plan), evidence=evidence, plan=plan), path)


def measure(command: list[str]) -> tuple[float, float, str]:
    """Wall seconds, peak GiB and last line of a process."""
    before = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - before
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, done.stdout.strip().split("\n")[-1]


PLAIN = """
import json, sys
from pathlib import Path
files = [Path(sys.argv[1]) / f"{name}.jsonl" for name in ("prompts", "responses", "scores")]
rows = [json.loads(line) for file in files for line in file.open()]
print(len(rows), "rows")
"""


def main() -> None:
    """Print one line per contender and the ratio."""
    if sys.argv[1:2] == ["--make"]:
        make_run(int(sys.argv[2]), Path(sys.argv[3]))
        return
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "runs" / "large"
        subprocess.run([sys.executable, __file__, "--make", str(pairs), str(run)], check=True)
        replay = measure([sys.executable, "-m", "canary", "replay", str(run), "--fail-on", "never"])
        plain = measure([sys.executable, "-c", PLAIN, str(run)])
    for name, (seconds, memory, last) in (("canary replay", replay), ("json.loads", plain)):
        print(f"{name:14} {seconds:6.1f} s   peak {memory:.2f} GiB (largest child so far)   {last[:100]}")
    print(f"ratio {replay[0] / plain[0]:.2f}")


if __name__ == "__main__":
    main()
