"""How long a report takes to write and how large it is, beside the terminal's and the summary of the same run.

python benchmarks/report.py [CASES]
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from canary.reporters import find_reporter
from canary.run.recorded import Judged, compare_files

WORDS = ("the", "parcel", "left", "on", "Monday", "unless", "customs", "holds", "it", "back", "for", "three", "days")
LENGTHS = {"short answers": 5, "long answers": 400}


def judged(cases: int, words: int, folder: Path) -> Judged:
    """Recorded outputs of both arms, one answer in ten wrong, with times and costs."""
    import json

    rng = random.Random(0)
    questions = [
        {"id": f"c{i}", "vars": {"q": f"Where is parcel {i}?"}, "expected": f"here {i}",
         "metadata": {"stratum": f"s{i % 8}"}}
        for i in range(cases)
    ]  # fmt: skip
    files = {"prompts": questions}
    for arm in ("baseline", "candidate"):
        files[arm] = [
            {"id": f"c{i}", "output": f"here {i}" if rng.random() < 0.9 else " ".join(rng.choices(WORDS, k=words)),
             "ttft_s": rng.lognormvariate(-1, 0.5), "total_s": rng.lognormvariate(0, 0.5), "output_tokens": words,
             "cost_usd": 0.001 * rng.random()}
            for i in range(cases)
        ]  # fmt: skip
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return compare_files(folder / "baseline.jsonl", folder / "candidate.jsonl", golden=folder / "prompts.jsonl")


def main(cases: int) -> None:
    """A line per reporter and length of answers."""
    for name, words in LENGTHS.items():
        with tempfile.TemporaryDirectory() as folder:
            run = judged(cases, words, Path(folder))
        print(f"{cases:,} cases, {name}")
        for reporter in ("terminal", "markdown", "json", "html"):
            begun = time.process_time()
            text = find_reporter(reporter)(run.verdict, run.evidence, run.plan)
            print(f"  {reporter:<9} {time.process_time() - begun:6.2f} s  {len(text.encode()) / 1e6:7.3f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
