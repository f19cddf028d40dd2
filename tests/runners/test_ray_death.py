"""Actors, servers and engines of a real local Ray that die in the middle."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from canary.errors import EngineError, EngineLostError
from canary.pipeline import RayRunner
from canary.protocols import Pair
from canary.records import Arm
from canary.runners import fleet, local
from canary.runners import ray as runner
from tests.runners.actors import (
    SHIPPED,
    Written,
    ask,
    asked_of,
    gone,
    hosts,
    kill_hosts,
    pair,
    pairs,
    pipeline,
    recorded,
    served,
    servers,
    stand_in,
    watched,
    workspace,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


ROOT = SHIPPED.parents[2]


@pytest.mark.usefixtures("cluster")
class TestDeath:
    """Processes die."""

    def test_killed_arms_lose_no_pair(self, tmp_path: Path) -> None:
        """Arms killed in the middle are replaced; every pair is answered, once."""
        killed: list[int] = []

        def kill(count: int) -> None:
            if count in (20, 60):
                victim = hosts()[count == 60]
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

        written = Written(on_write=kill)
        runner.run(recorded(tmp_path, 100), pairs(100), written)

        assert (len(killed), written.errors) == (2, set())
        assert written.outputs == {str(n): (f"baseline {n}", f"candidate {n}") for n in range(100)}

    def test_a_replacement_that_is_killed_while_it_comes_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever kills processes may meet the new one too: another comes up, and no pair is lost."""
        known, killed, result = set[int](), list[int](), fleet._result

        def kill(victims: list[int]) -> None:
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

        def strike(count: int) -> None:
            if count == 20:
                known.update(hosts())
                kill(hosts()[:1])

        async def placed(reference: Any) -> Any:
            said = await result(reference)
            if len(killed) == 1:
                kill(sorted(set(hosts()) - known))
            return said

        monkeypatch.setattr(fleet, "_result", placed)
        written = Written(on_write=strike)
        runner.run(recorded(tmp_path, 100), pairs(100), written)

        assert (len(killed), written.errors) == (2, set())
        assert written.outputs == {str(n): (f"baseline {n}", f"candidate {n}") for n in range(100)}

    def test_a_dead_replica_s_pairs_move_to_the_other(self, canary: Callable[..., Any], tmp_path: Path) -> None:
        """Two replicas an arm share its work until one is killed; the verdict is the right one all the same."""
        released = {"engine": "transformers", "device": "cpu", "threads": 1, "sampling": {"max_tokens": 24}}
        models = {"baseline": SHIPPED, "candidate": SHIPPED.with_name("candidate-bad")}
        arms = {arm: {"name": arm, "model": str(model)} | released for arm, model in models.items()}
        path = workspace(
            tmp_path,
            {},
            count=0,
            policy=str(ROOT / "evals" / "quickstart-policy.yaml"),
            runner={"type": "ray", "replicas": 2, "cpus_per_arm": 0.5},
            concurrency=4,
            **arms,
        )
        lines = (ROOT / "golden_sets" / "quickstart" / "prompts.jsonl").read_text().splitlines(keepends=True)[::5]
        (tmp_path / "prompts.jsonl").write_text("".join(lines))
        shares: list[dict[str, list[int]]] = []

        def kill() -> None:
            if not shares and sum(map(sum, asked_of(fleets).values())) >= 120:
                shares.append(asked_of(fleets))
                os.kill(hosts()[0], signal.SIGKILL)

        with watched(kill) as fleets:
            ran = canary("run", path, "--runs", tmp_path / "runs", "--no-early-stop", "--json")

        (run,) = (tmp_path / "runs").glob("2*")
        rows = [json.loads(line) for line in (run / "responses.jsonl").read_text().splitlines()]
        assert ran.status == 1, ran.err
        assert ran.signal("quality/tool_call/pass")["status"] == "fail"
        assert Counter((row["id"], row["arm"]) for row in rows) == {
            (json.loads(line)["id"], arm): 1 for line in lines for arm in Arm
        }
        assert [row["error"] for row in rows if row.get("error", {}).get("kind") == "server"] == []
        assert [min(counts) >= 2 for shared in shares for counts in shared.values()] == [True, True]
        assert all(sum(counts) >= len(lines) for counts in asked_of(fleets).values())

    def test_a_replica_of_both_arms(self, checkpoint: Path) -> None:
        """One that dies loses both arms' requests: the pairs are asked again, whole, and it comes back."""
        release = {"engine": "transformers", "model": str(checkpoint), "device": "cpu"}
        shared = {"type": "ray", "replicas": 2, "cpus_per_arm": 0.5}
        arms = (release | {"sampling": {"max_tokens": 6}}, release | {"sampling": {"max_tokens": 3}})
        written = Written(on_write=lambda count: os.kill(hosts()[0], signal.SIGKILL) if count == 50 else None)
        with watched() as fleets:
            runner.run(pipeline(*arms, runner=shared), pairs(300), written)

        assert written.errors == {e for e in written.errors if "no end within" in e}
        assert len(written.outputs) == 300
        ((arms_of, counts),) = asked_of(fleets).items()
        assert arms_of == "baseline+candidate"
        assert min(counts) >= 8  # half of what is in flight at first

    def test_deadly_prompt(self) -> None:
        """A pair whose arms die twice is an error in both; the others are answered."""
        with served() as url:
            release = {"engine": "openai", "model": "m", "base_url": url, "api_key": "sk-secret"}
            written = Written()
            runner.run(pipeline(release, release, warmup=0), poisoned(12, at=5), written)
        told = [error.partition(" server: the arm's process died: The actor ") for error in written.errors]

        assert {(who, bool(how)) for who, how, _ in told} == {(f"5 {arm}", True) for arm in Arm}  # in Ray's own words
        assert {both for case, both in written.outputs.items() if case != "5"} == {("the right key",) * 2}

    def test_arm_that_always_dies(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An arm that dies too often stops the run."""
        monkeypatch.setattr(fleet, "DEATHS", 1)
        written = Written(on_write=lambda count: kill_hosts())

        with pytest.raises(EngineError, match=r"^(baseline 'v1'|candidate 'v2') died 2 times, at last: "):
            runner.run(recorded(tmp_path, 1000), pairs(1000), written)


def test_work_is_spread_evenly() -> None:
    """Equals are asked in turn; whoever has more to do than the other one waits, whatever each was asked so far."""
    two = [fleet.Replica(RayRunner(type="ray", replicas=2), None, {}, number) for number in (0, 1)]
    arm, order = fleet.Fleet({}, two), []
    for _ in range(6):
        order.append(arm._choose().number)
        two[order[-1]].asked += 1
    two[0].flight = 1

    assert order == [0, 1] * 3
    assert [arm._choose().number for _ in range(2)] == [1, 1]


def poisoned(count: int, *, at: int) -> Iterator[Pair]:
    """So many cases, one of which is deadly."""
    for number in range(count):
        yield pair(number, "poison" if number == at else "hello")


@pytest.mark.usefixtures("cluster")
class TestServerDeath:
    """A server dies in the middle while the arm's own process lives on; a stand-in speaks as vLLM's does."""

    def test_killed_servers_lose_no_pair(self, tmp_path: Path) -> None:
        """Both are replaced, one after the other; every pair is answered once, none is an error."""
        release = stand_in(tmp_path)
        killed: list[int] = []

        def kill(count: int) -> None:
            if count in (20, 60):
                killed.append(servers(release)[count == 60])
                os.kill(killed[-1], signal.SIGKILL)

        written = Written(on_write=kill)
        runner.run(pipeline(release, release), pairs(100), written)

        assert (len(set(killed)), written.errors) == (2, set())
        assert written.outputs == {str(n): ("yes", "yes") for n in range(100)}
        assert gone(lambda: servers(release))

    @pytest.mark.parametrize(
        ("deadly", "said"),
        [
            ("poison", "ended with status 3; it said last:\n  RuntimeError: it was poisoned"),
            ("stun", "is dead"),
        ],
    )
    def test_a_release_that_crashes_of_a_prompt_answers_for_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadly: str, said: str
    ) -> None:
        """Its server dies of that pair twice: an error of that arm alone, and the only one."""
        monkeypatch.setattr(fleet, "DEATHS", 2)
        release, written = stand_in(tmp_path), Written()

        runner.run(pipeline(release, release, warmup=1), deadly_to_one(12, deadly), written)

        assert len(written.outputs) == 12
        assert {outputs for case, outputs in written.outputs.items() if case != "5"} == {("yes", "yes")}
        (error,) = written.errors
        assert error.startswith(f"5 candidate server: the arm's process died: candidate 'v2': the vLLM server {said}")

    def test_a_server_that_always_dies_stops_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With its last words; what was written stays."""
        monkeypatch.setattr(fleet, "DEATHS", 1)
        release, written = stand_in(tmp_path), Written()
        asked = [pair(number, "poison" if number > 20 else "hello") for number in range(100)]

        with pytest.raises(EngineError, match=r"died 2 times, at last: .*\n  RuntimeError: it was poisoned"):
            runner.run(pipeline(release, release), asked, written)

        assert len(written.outputs) >= 10
        assert gone(lambda: servers(release))

    def test_without_ray_there_is_no_other_place(self, tmp_path: Path) -> None:
        """The run stops as broken, not as rolled back; it can be resumed."""
        release, written = stand_in(tmp_path), Written()

        with pytest.raises(
            EngineLostError, match=r"^candidate 'v2': the vLLM server ended with status 3; it said last:"
        ):
            local.run(pipeline(release, release, concurrency=1), deadly_to_one(12, "poison"), written)

        assert len(written.outputs) == 5
        assert gone(lambda: servers(release))


def deadly_to_one(count: int, text: str) -> Iterator[Pair]:
    """So many cases; the candidate is asked this text in the sixth."""
    for number in range(count):
        one = pair(number, "hello")
        yield replace(one, candidate=ask(number, Arm.CANDIDATE, text)) if number == 5 else one
