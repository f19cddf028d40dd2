"""A run holds the answers that are on their way, not those that were written."""

from __future__ import annotations

import io
import multiprocessing
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks are scripts, not installed

from benchmarks.memory import serve, written
from canary.evidence import new_run, read_records
from canary.journal import Journal
from canary.protocols import no_judge, unnoted
from canary.records import Response
from canary.run import execute
from canary.run.answering import answer_open
from canary.run.drift import Kept
from canary.run.load import Overrides, load
from canary.run.progress import Screen


@pytest.fixture
def port() -> Iterator[int]:
    """A server in another process, so that its memory is its own."""
    ours, its = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(its,), daemon=True)
    server.start()
    yield ours.recv()
    server.kill()
    server.join()


def taken(folder: Path, port: int, cases: int) -> tuple[int, int]:
    """Bytes in memory at most while so many cases are asked, looks included; and bytes of both arms' answers."""
    folder.mkdir()
    pipeline = written(folder, port, cases, "local", concurrency=2)
    loaded = load(pipeline, stage="staging", overrides=Overrides())
    run = new_run(folder / "runs", loaded.plan, loaded.golden.prompts)
    scoring = execute._scoring(loaded, Kept(), no_judge)
    with Journal.open(run.responses) as journal:
        tracemalloc.start()
        try:
            answer_open(journal, loaded, scoring, unnoted, Screen(io.StringIO()))
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            answers = read_records(Response, run.responses)
            held = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert len(answers) == 2 * cases
    return most, held


@pytest.mark.slow
def test_memory_does_not_grow_with_the_cases(port: int, tmp_path: Path) -> None:
    """Of 180 more cases, what stays in memory is less than a third of their answers: scores, and no answer."""
    taken(tmp_path / "first", port, 30)  # loads what is loaded on first use
    few, few_held = taken(tmp_path / "few", port, 60)
    many, many_held = taken(tmp_path / "many", port, 240)

    assert many - few < (many_held - few_held) / 3
