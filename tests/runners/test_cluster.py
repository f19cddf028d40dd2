"""A cluster of three nodes, one of which goes away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.errors import EngineError
from canary.pipeline import Pipeline
from canary.protocols import Answers, Pair, Request
from canary.records import Arm
from canary.runners import fleet, local
from canary.runners import ray as runner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]

SHIPPED = Path(__file__).resolve().parents[2] / "pipelines" / "checkpoints" / "baseline"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without room for an arm, and two nodes with room for one each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": 100_000_000, "include_dashboard": False},
    )
    made.spare = [made.add_node(num_cpus=1, object_store_memory=100_000_000) for _ in range(2)]
    monkeypatch.setenv("RAY_ADDRESS", made.address)
    yield made
    made.shutdown()


def recorded(folder: Path, count: int, **runner_: Any) -> Pipeline:
    """As many recorded answers in both arms."""
    for arm in Arm:
        lines = (json.dumps({"id": str(n), "output": f"{arm} {n}"}) + "\n" for n in range(count))
        (folder / f"{arm}.jsonl").write_text("".join(lines))
    arms = {
        arm.value: {"name": arm.value, "engine": "replay", "responses": str(folder / f"{arm}.jsonl")} for arm in Arm
    }
    return Pipeline.model_validate(
        {"suite": "s", "runner": {"type": "ray", "placement": "spread", **runner_}, "concurrency": 4, **arms}
    )


def generated() -> Pipeline:
    """A shipped checkpoint against itself, in fewer words."""
    arms = {
        arm.value: {
            "name": arm.value, "engine": "transformers", "model": str(SHIPPED), "device": "cpu", "threads": 1,
            "sampling": {"max_tokens": tokens},
        }
        for arm, tokens in zip(Arm, (6, 3), strict=True)
    }  # fmt: skip
    apart = {"type": "ray", "placement": "spread", "share": False}
    return Pipeline.model_validate({"suite": "s", "runner": apart, "concurrency": 4, **arms})


def pairs(count: int) -> Iterator[Pair]:
    """So many cases."""
    for n in range(count):
        text = f"add: {n}+1\nsum:"
        base, cand = (Request(id=str(n), arm=arm, repeat=0, messages=None, text=text, seed=0) for arm in Arm)
        yield Pair(baseline=base, candidate=cand, first=list(Arm)[n % 2])


class Rows:
    """What was written, and what is done on the way."""

    def __init__(self, at: int, do: Callable[[], object]) -> None:
        self.rows: list[tuple[str, ...]] = []
        self.at, self.do = at, do

    def __call__(self, pair: Pair, answers: Answers) -> None:
        """One pair."""
        self.rows.append((pair.key[0], *(a.output if a and not a.error else "?" for a in answers)))
        if len(self.rows) == self.at:
            self.do()


def test_a_node_that_goes_away_is_replaced(cluster: Any) -> None:
    """Its arm comes up on the node that is added; every pair is answered as in this process, once."""

    def replace() -> None:
        cluster.remove_node(cluster.spare[0])
        cluster.add_node(num_cpus=1, object_store_memory=100_000_000)

    written, here = Rows(40, replace), Rows(0, lambda: None)
    runner.run(generated(), pairs(120), written)
    local.run(generated(), pairs(120), here)

    assert len(written.rows) == 120
    assert sorted(written.rows) == sorted(here.rows)


def test_without_room_for_the_lost_arm_the_run_stops(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which arm found no room; what was written stays written."""

    def remove() -> None:
        monkeypatch.setattr(fleet, "ROOM_S", 5.0)  # not before: to come up may take longer than that
        cluster.remove_node(cluster.spare[0])

    written = Rows(40, remove)

    with pytest.raises(EngineError, match=r"^(baseline|candidate) '\w+' found no room to live in for 5 s"):
        runner.run(recorded(tmp_path, 120), pairs(120), written)

    assert 40 <= len(written.rows) < 120


def test_a_cluster_too_small_is_refused_with_the_arithmetic(cluster: Any, tmp_path: Path) -> None:
    """Two replicas of two arms want four CPUs where there are two."""
    with pytest.raises(EngineError, match=r"two arms of 2 x \{'CPU': 1\.0\}: that is 4 CPU, and the cluster has 2;"):
        runner.run(recorded(tmp_path, 1, replicas=2), pairs(1), Rows(0, lambda: None))
