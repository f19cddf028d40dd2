"""Each arm in an actor of a real local Ray."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import canary
from canary.compare.observed import observe
from canary.errors import EngineError, EvidenceError, GateError, MissingExtra
from canary.records import Arm, Evidence, Observation
from canary.runners import fleet, local, metrics, sample
from canary.runners import ray as runner
from canary.runners.host import Host
from tests.jsonl import write_jsonl
from tests.runners.actors import (
    Written,
    ask,
    asked_of,
    gone,
    hosts,
    kill_hosts,
    pairs,
    pipeline,
    recorded,
    stand_in,
    watched,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


def test_unreachable_cluster(tmp_path: Path) -> None:
    """An address where no Ray answers is an engine that never came up."""
    # Stands above the tests that share a Ray: where one is connected already, it is used.
    asked = recorded(tmp_path, 1, runner={"type": "ray", "address": "127.0.0.1:9"})

    with pytest.raises(EngineError, match=r"^runner 'ray' cannot reach Ray at '127\.0\.0\.1:9': "):
        runner.run(asked, pairs(1), Written())


@pytest.mark.usefixtures("cluster")
class TestAnswers:
    """What comes back is what the engines say."""

    @pytest.mark.parametrize("share", [False, True])
    def test_checkpoint(self, checkpoint: Path, *, share: bool) -> None:
        """Both arms generate what they generate here, each in its own process, or in one that they share."""
        release = {"engine": "transformers", "model": str(checkpoint), "device": "cpu"}
        arms = (release | {"sampling": {"max_tokens": 6}}, release | {"sampling": {"max_tokens": 3}})
        asked = pipeline(*arms, runner={"type": "ray", "share": share})
        by_ray, by_local, seen = Written(on_write=lambda count: seen.update(hosts())), Written(), set[int]()
        runner.run(asked, pairs(6), by_ray)
        local.run(pipeline(*arms, runner={"type": "local", "share": False}), pairs(6), by_local)

        assert by_ray.outputs == by_local.outputs
        assert all(baseline != candidate for baseline, candidate in by_ray.outputs.values())
        assert len(seen) == (1 if share else 2)
        assert os.getpid() not in seen

    def test_every_pair_once(self, tmp_path: Path) -> None:
        """Each pair is written once with both arms' answers; nothing is left behind."""
        written = Written()
        runner.run(recorded(tmp_path, 100), pairs(100), written)

        assert written.outputs == {str(n): (f"baseline {n}", f"candidate {n}") for n in range(100)}
        assert gone(hosts)

    def test_nothing_recorded(self, tmp_path: Path) -> None:
        """None, "nothing recorded", survives the way."""
        written = Written()
        runner.run(recorded(tmp_path, 1), pairs(2), written)

        assert written.outputs["1"] == (None, None)

    def test_the_run_is_seen_in_ray(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its actors have names, and its pairs, errors and tokens are among the metrics that Prometheus scrapes."""
        import ray

        monkeypatch.setattr(metrics, "EVERY_S", 0.0)
        names = set[str]()
        written = Written(on_write=lambda count: names.update(ray.util.list_named_actors()))
        asked = recorded(tmp_path, 30, runner={"type": "ray", "replicas": 2, "cpus_per_arm": 0.5})
        arms = {str(arm): getattr(asked, arm).model_copy(update={"name": f"seen {arm}\ud800\n"}) for arm in Arm}
        asked = asked.model_copy(update=arms)  # the other tests' series have other names
        for arm in Arm:
            lines = [
                {"id": n, "output": "", "error": {"kind": "server", "message": "no"}}
                if arm is Arm.CANDIDATE and n < 3
                else {"id": n, "output": "x", "output_tokens": 7}
                for n in range(30)
            ]
            write_jsonl(tmp_path / f"{arm}.jsonl", lines)
        runner.run(asked, pairs(30), written)
        expected = {
            ("pairs_total", ""): 30.0,
            ("errors_total", "candidate"): 3.0,
            ("output_tokens_total", "baseline"): 210.0,
            ("output_tokens_total", "candidate"): 189.0,
        }
        speed = ("tokens_per_second", "baseline")
        found = scraped(r"seen baseline\\ud800\\n -> seen candidate\\ud800\\n", expected, speed)

        assert {name.rpartition(" ")[0] for name in names} == {
            f"canary {arm} 'seen {arm}\\ud800\\n' (replica {number} of 2)" for arm in Arm for number in (1, 2)
        }
        assert found.items() >= expected.items()
        assert speed in found

    def test_metrics_that_fail_cost_the_metrics_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ray may refuse them when they are made, or later: every pair is answered and written."""
        for broken in ("__post_init__", "tell"):
            written = Written()
            monkeypatch.setattr(metrics, "EVERY_S", 0.0)
            with monkeypatch.context() as patch:
                patch.setattr(metrics._Meters, broken, refuse)
                runner.run(recorded(tmp_path, 20), pairs(20), written)

            assert len(written.outputs) == 20


def refuse(self: object) -> None:
    """What a metric does that cannot be."""
    raise RuntimeError("no metrics today")


def scraped(run: str, expected: dict[tuple[str, str], float], also: tuple[str, str]) -> dict[tuple[str, str], float]:
    """A run's series as the node's exporter has them, by name and arm, once those expected are among them, and this."""
    import ray

    url = f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"
    end, found = time.monotonic() + 180, dict[tuple[str, str], float]()
    while not (found.items() >= expected.items() and also in found) and time.monotonic() < end:
        time.sleep(0.5)
        with urllib.request.urlopen(url, timeout=60) as answer:
            lines = [line for line in answer.read().decode().splitlines() if f'run="{run}"' in line]
        for line in lines:
            arm = re.search(r'arm="(\w+)"', line)
            name = line.partition("{")[0].removeprefix("ray_canary_")
            found[name, arm[1] if arm else ""] = float(line.rpartition(" ")[2])
    return found


@pytest.mark.usefixtures("cluster")
class TestOpening:
    """What never comes up ends the run, quickly and as itself."""

    def test_missing_checkpoint(self, tmp_path: Path) -> None:
        """The engine's own words arrive, without the actor's around them."""
        (tmp_path / "empty").mkdir()
        release = {"engine": "transformers", "model": str(tmp_path / "empty")}
        before = time.monotonic()

        with pytest.raises(EngineError, match=rf"^\w+ '\w+': .* cannot load '{tmp_path}/empty' on cpu: "):
            runner.run(pipeline(release, release), pairs(1), Written())

        assert time.monotonic() - before < 300
        assert gone(hosts)

    def test_stops_without_waiting_for_answers(self, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Requests still in flight when a run stops are given up, not waited for."""
        monkeypatch.setattr(fleet, "CLOSED_S", 120.0)
        release = {"engine": "transformers", "model": str(checkpoint), "device": "cpu"}
        stopped: list[float] = []

        def stop(count: int) -> None:
            stopped.append(time.monotonic())
            raise OSError("disk full")

        with pytest.raises(OSError, match=r"^disk full$"):
            runner.run(pipeline(release, release, concurrency=500), pairs(1000), Written(on_write=stop))

        assert time.monotonic() - stopped[0] < fleet.CLOSED_S
        assert gone(hosts)

    def test_bad_recorded_outputs(self, tmp_path: Path) -> None:
        """A mistake of the user stays one on its way through Ray, with every problem."""
        asked = recorded(tmp_path, 1)
        (tmp_path / "candidate.jsonl").write_text('{"id": "1"}\n{"id": "2"}\n')

        with pytest.raises(EvidenceError) as caught:
            runner.run(asked, pairs(1), Written())

        assert len(str(caught.value).splitlines()) == 2

    def test_no_room(self, tmp_path: Path) -> None:
        """More than the machine has is refused, not waited for."""
        asked = recorded(tmp_path, 1, runner={"type": "ray", "gpus_per_arm": 1000})

        with pytest.raises(EngineError, match=r"^runner 'ray' found no room for two arms of .* 2000 GPU, and"):
            runner.run(asked, pairs(1), Written())

    def test_room_for_one_arm_at_a_time(self, checkpoint: Path) -> None:
        """Where the machine cannot hold both, the refusal says what could; asked in turn each has all of it."""
        import ray

        cpus = ray.cluster_resources()["CPU"]
        release = {"engine": "transformers", "model": str(checkpoint), "device": "cpu", "sampling": {"max_tokens": 3}}
        alone = [replace(each, candidate=None) for each in pairs(5)]
        wide = {"type": "ray", "cpus_per_arm": cpus}

        with pytest.raises(EngineError, match=r"or add nodes; or 'sequential: true': one arm after the other"):
            runner.run(pipeline(release, release, runner=wide), pairs(1), Written())

        written, seen = Written(), set[int]()
        written.on_write = lambda count: seen.update(hosts())
        runner.run(pipeline(release, release, runner=wide | {"sequential": True}), alone, written)
        assert [(baseline is None, candidate) for baseline, candidate in written.outputs.values()] == [
            (False, None)
        ] * 5
        assert len(seen) == 1

    def test_no_room_for_one(self) -> None:
        """An engine for both arms takes the room of one."""
        release = {"engine": "vllm", "model": "m"}
        asked = pipeline(release, release | {"prompt": "x"}, runner={"type": "ray", "gpus_per_arm": 1000})

        with pytest.raises(EngineError, match=r"no room for one engine for both arms of 1 x .* 1 CPU, 1000 GPU,"):
            runner.run(asked, pairs(1), Written())

    def test_engine_that_stops_the_run(self) -> None:
        """An engine's error in the middle of the run ends it as itself, without its secrets."""
        release = {"engine": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "api_key": "sk-secret"}

        with pytest.raises(EngineError, match=r"127\.0\.0\.1") as caught:
            runner.run(pipeline(release, release), pairs(3), Written())

        assert "sk-secret" not in str(caught.value)


class TestHost:
    """The actor's class, in this process."""

    def test_missing_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What to install survives pickling, which MissingExtra does not."""
        monkeypatch.setitem(sys.modules, "torch", None)
        release = pipeline({"engine": "transformers", "model": "m"}, {"engine": "transformers", "model": "m"}).baseline

        with pytest.raises(GateError, match=r"pip install 'canary-gate\[embeddings\]'") as caught:
            asyncio.run(Host({Arm.BASELINE: release}, 1.0).open())

        assert not isinstance(caught.value, MissingExtra)

    def test_asked_too_early(self) -> None:
        """A host answers nothing before it is open."""
        release = pipeline({"engine": "replay", "responses": "x"}, {"engine": "replay", "responses": "x"}).baseline

        with pytest.raises(EngineError, match="baseline was asked before it was open"):
            asyncio.run(Host({Arm.BASELINE: release}, 1.0).answer(ask(0, Arm.BASELINE, "")))


SCRIPT = """
import json, sys
from canary.pipeline import Pipeline
from canary.protocols import Pair, Request
from canary.runners.ray import run

def ask(number, arm):
    return Request(id=str(number), arm=arm, repeat=0, messages=None, text="", seed=0)

pairs = [Pair(baseline=ask(n, "baseline"), candidate=ask(n, "candidate"), first="baseline") for n in range(3)]
rows, told = [], {}

def write(pair, answers):
    rows.append([answer.output for answer in answers])
    told.update(ray._private.worker.global_worker.core_worker.get_job_config().metadata)

import ray
run(Pipeline.model_validate_json(sys.argv[1]), pairs, write)
print(*rows, sep="\\n")
print(sorted(told.items()))
print(ray.is_initialized())
"""


def test_starts_and_ends_its_own_ray(tmp_path: Path) -> None:
    """From any folder a run brings its own Ray, whose job says what it is, ends it, and prints nothing of it."""
    asked = recorded(tmp_path, 3).model_dump_json()
    environment = os.environ | {"PYTHONPATH": str(Path(canary.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, asked],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [str([f"baseline {number}", f"candidate {number}"]) for number in range(3)]

    said = [line for line in done.stderr.splitlines() if "etrics agent" not in line]
    assert (done.returncode, said) == (0, [])  # Ray's own word on a machine where its agent is slow to come up
    assert sorted(done.stdout.splitlines()) == sorted([*rows, "[('canary-gate', 'v1 -> v2'), ('suite', 's')]", "False"])


class TestObserving:
    """How the servers are, from their actors to the driver; a stand-in speaks as a vLLM server does."""

    def test_every_replica_is_observed_also_the_one_that_replaces_it(
        self, cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both arms' replicas at the same moments; a server that is replaced says that it is new."""
        monkeypatch.setattr(sample, "EVERY_S", 0.05)
        release = stand_in(tmp_path)
        replicas = {"type": "ray", "replicas": 2, "cpus_per_arm": 0.5}
        every = [(arm, k) for arm in Arm for k in (0, 1)]
        moments, starts, killed = list[Sequence[Observation]](), Counter[tuple[Arm | None, int]](), list[int]()

        def note(seen: Sequence[Observation]) -> None:
            moments.append(seen)
            starts.update((one.arm, one.replica) for one in seen if "started_s" in one.values)

        def kill(count: int) -> None:
            if not killed and count >= 60 and starts.keys() == set(every):
                kill_hosts()
                killed.append(count)

        written = Written(on_write=kill)
        until_all_came_twice = itertools.takewhile(lambda _: min(starts[each] for each in every) < 2, pairs(50_000))
        with watched() as fleets:
            asked = pipeline(release, release, runner=replicas, concurrency=4)
            runner.run(asked, until_all_came_twice, written, note)

        assert len(killed) == 1
        assert written.outputs.keys() == {str(number) for number in range(len(written.rows))}
        assert every in [[(one.arm, one.replica) for one in seen] for seen in moments]
        assert starts == dict.fromkeys(every, 2)
        observed = observe(
            Evidence(prompts=(), responses=(), scores=(), observations=tuple(one for seen in moments for one in seen))
        )
        for arm, servers in observed.items():
            again = 2  # each new server's warm-up
            assert 0 < (servers.rise("generation_tokens") or 0) <= sum(asked_of(fleets)[arm]) + again

    def test_engines_without_a_server_are_not_observed(self, cluster: None, tmp_path: Path) -> None:
        """Recorded answers have nothing to say."""
        noted: list[Observation] = []

        runner.run(recorded(tmp_path, 5), pairs(5), Written(), noted.extend)

        assert noted == []
