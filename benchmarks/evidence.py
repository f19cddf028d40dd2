"""How fast evidence is written, read and digested, beside the standard library.

    python benchmarks/evidence.py [PAIRS]

Prints processor seconds, the ratio to plain `json`, which checks nothing, and the peak
memory of a process that does only that step.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from canary.codec import evidence_digests
from canary.evidence import read_records, write_records
from canary.journal import Journal
from canary.records import Arm, Evidence, Response, Scale, Score

METRICS = ("exact", "format", "pass")


def responses(pairs: int) -> Iterator[Response]:
    """Both arms' answers with latency and cost, 150 characters each."""
    for i in range(pairs):
        for arm in Arm:
            seconds = 1 + (i * 7919 % 1000) / 997
            yield Response(
                id=f"case-{i}",
                arm=arm,
                output=f"The answer to question {i} is {i * i}. " * 4,
                ttft_s=seconds / 9,
                tpot_s=seconds / 99,
                total_s=seconds,
                input_tokens=120,
                output_tokens=60,
                cost_usd=i * 1e-7,
                finish_reason="stop",
                started_at=1.7e9 + i / 3,
            )


def scores(pairs: int) -> Iterator[Score]:
    """Three metrics of each answer."""
    for i in range(pairs):
        for arm in Arm:
            for metric in METRICS:
                value = float(i % 7 > 0)
                yield Score(
                    id=f"case-{i}",
                    arm=arm,
                    repeat=0,
                    metric=metric,
                    scale=Scale.PASS_FAIL,
                    value=value,
                    passed=i % 7 > 0,
                )


def make(_: Path, pairs: int) -> None:
    """The records alone: part of every writing step."""
    for _response in responses(pairs):
        pass
    for _score in scores(pairs):
        pass


def write(folder: Path, pairs: int) -> None:
    """Evidence, written at once."""
    write_records(folder / "responses.jsonl", responses(pairs))
    write_records(folder / "scores.jsonl", scores(pairs))


def write_plainly(folder: Path, pairs: int) -> None:
    """The same with json's encoder."""
    dumps = json.JSONEncoder(separators=(",", ":")).encode
    for name, records in (("responses.plain", responses(pairs)), ("scores.plain", scores(pairs))):
        with (folder / name).open("w") as file:
            for record in records:
                fields = ((name, getattr(record, name)) for name in record.__dataclass_fields__)
                file.write(dumps({name: value for name, value in fields if value is not None}) + "\n")


def journal(folder: Path, pairs: int) -> None:
    """The same answers, pair by pair, synced as a run does."""
    with Journal.open(folder / "journal.jsonl") as journal:
        answers = responses(pairs)
        for baseline, candidate in zip(answers, answers, strict=True):
            journal.append(baseline, candidate)


def recover(folder: Path, pairs: int) -> None:
    """The journal, opened again after a crash."""
    with (folder / "journal.jsonl").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 9)
    with Journal.open(folder / "journal.jsonl") as journal:
        assert len(journal.completed) == pairs - 1


def read(folder: Path, _: int) -> Evidence:
    """Evidence, read and checked."""
    answered = read_records(Response, folder / "responses.jsonl")
    return Evidence(prompts=(), responses=answered, scores=read_records(Score, folder / "scores.jsonl"))


def read_plainly(folder: Path, _: int) -> list[dict[str, object]]:
    """The same with json.loads."""
    files = [folder / name for name in ("responses.jsonl", "scores.jsonl")]
    return [json.loads(line) for file in files for line in file.open()]


def read_and_digest(folder: Path, pairs: int) -> None:
    """Evidence, read and digested."""
    evidence_digests(read(folder, pairs))


def measure(step: Callable[[Path, int], object], folder: Path, pairs: int, told: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    """Runs one step and tells its processor seconds and the process's peak memory in MB."""
    start = time.process_time()
    kept = step(folder, pairs)
    seconds = time.process_time() - start
    del kept
    told.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main(pairs: int) -> None:
    """Every step in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    steps = (make, write, write_plainly, read, read_plainly, read_and_digest, journal, recover)
    taken: dict[str, float] = {}
    print(f"{2 * pairs} responses, {6 * pairs} scores")
    with tempfile.TemporaryDirectory() as folder:
        for step in steps:
            told = spawn.Queue()
            process = spawn.Process(target=measure, args=(step, Path(folder), pairs, told))
            process.start()
            taken[step.__name__], megabytes = told.get()
            process.join()
            print(f"{step.__name__:16} {taken[step.__name__]:6.2f} s  {megabytes:5.0f} MB")
    written, plainly = (taken[name] - taken["make"] for name in ("write", "write_plainly"))
    print(f"written in {written / plainly:.2f} of the time of json")
    print(f"read in {taken['read'] / taken['read_plainly']:.2f} of the time of json, which checks nothing")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
