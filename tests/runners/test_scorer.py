"""Answers embedded by an actor with a GPU of the cluster; here a declared one, with the real model on its CPU."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from canary.models import open_embedder
from canary.pipeline import Pipeline
from canary.runners import scorer
from canary.runners.scorer import embedding
from tests.runners.actors import actors

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]

TEXTS = ["A man is eating food.", "Someone has a meal.", "The stock market fell."]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A Ray that says it has one GPU."""
    import ray

    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No vector is known yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def pipeline(**runner: Any) -> Pipeline:
    """Two releases under Ray."""
    release = {"engine": "replay", "name": "v", "responses": "x"}
    return Pipeline.model_validate(
        {"suite": "s", "runner": {"type": "ray"} | runner, "baseline": release, "candidate": release}
    )


def test_an_actor_s_vectors_are_the_driver_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is loaded in the actor alone, what it said is kept here, and the actor ends with the run."""
    here = open_embedder()
    said: list[str] = []
    with embedding(pipeline(scorer_gpus=0.5), said.append) as open_:
        embedder = open_()
        vectors = embedder(TEXTS)
        running = len(actors("Encoder"))
    monkeypatch.setattr(scorer.Scorer, "__call__", None)

    assert "_model" not in vars(embedder)
    assert (running, said) == (1, [])
    assert np.array_equal(embedder(TEXTS), vectors)  # from the cache: nobody is left to ask
    assert np.allclose(here(TEXTS), vectors, atol=1e-5)


def test_an_actor_that_dies_is_done_without() -> None:
    """It is said once, and the texts are embedded here."""
    said: list[str] = []
    with embedding(pipeline(scorer_gpus=1), said.append) as open_:
        embedder = open_()
        embedder(TEXTS[:1])
        for pid in actors("Encoder"):
            os.kill(pid, signal.SIGKILL)
        vectors = embedder([*TEXTS, "Another one."])

    assert vectors.shape == (4, 384)
    assert len(said) == 1
    assert said[0].startswith("canary: answers are embedded here: the scorer failed: ")


def test_no_room_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no GPU comes free the texts are embedded here, after a while."""
    import ray

    monkeypatch.setattr(scorer, "PLACED_S", 1.0)
    holder = ray.remote(num_gpus=1)(scorer.Encoder).remote()
    ray.get(holder.place.remote())
    said: list[str] = []
    with embedding(pipeline(scorer_gpus=1), said.append) as open_:
        vectors = open_()(TEXTS)
    ray.kill(holder)

    assert vectors.shape == (3, 384)
    assert said == ["canary: answers are embedded here: the scorer found no GPU that is free within 1 s"]


@pytest.mark.parametrize("runner", [{"type": "local"}, {"type": "ray"}])
def test_without_scorer_gpus_nothing_changes(runner: dict[str, str]) -> None:
    """The embedder is the one it always was."""
    with embedding(pipeline(**runner), print) as open_:
        assert open_ is open_embedder


def test_a_run_s_verdict_is_the_same(
    tmp_path: Path, canary: Callable[..., Any], write_lines: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Similarity to the expected answer, scored by an actor and by the driver."""
    words = ["a red house", "seven blue birds", "the late train", "cold soup"]
    rows = [{"id": f"c{n}", "vars": {"prompt": "?"}, "expected": f"{words[n % 4]} {n}"} for n in range(120)]
    write_lines("golden/prompts.jsonl", rows)
    for name, suffix in (("v1", "!"), ("v2", " too")):
        write_lines(f"{name}.jsonl", [{"id": row["id"], "output": f"{row['expected']}{suffix}"} for row in rows])
    (tmp_path / "suite.yaml").write_text(
        'golden_sets: [golden]\nassert: [{type: similar, value: "{{expected}}", threshold: 0.8}]\n'
    )
    verdicts = []
    for gpus in (0.5, 0):
        (tmp_path / "p.yaml").write_text(
            f"suite: suite.yaml\nrunner: {{type: ray, cpus_per_arm: 0.5, scorer_gpus: {gpus}}}\n"
            "baseline: {name: v1, engine: replay, responses: v1.jsonl}\n"
            "candidate: {name: v2, engine: replay, responses: v2.jsonl}\n"
        )
        ran = canary("run", tmp_path / "p.yaml", "--runs", tmp_path / "runs", "--json", "--fail-on", "never")
        assert "embedded here" not in ran.err
        verdicts.append(ran.out)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "again"))

    assert verdicts[0] == verdicts[1]
