"""Two real vLLM servers under Ray: judged as in this process, killed in every way, and left behind by none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

import psutil
import pytest
from scipy import stats

from canary.evidence import check_files, load_run
from canary.records import Arm, Response
from canary.runners import sample
from tests.clusters import TOKEN, apart, head_node
from tests.engines.test_vllm import CHECKPOINTS, ROOT, left, vllm
from tests.engines.test_vllm_side_by_side import CONCURRENCY, SIGNALS, written
from tests.runners.actors import HANGS_S, until
from tests.runners.test_chaos import command, family, require_gone, run_of

__all__ = ["vllm"]  # the fixture, with its skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]

NAMES = {Arm.BASELINE: "baseline", Arm.CANDIDATE: "candidate-bad"}
COUNT = 100
SERVERS = ("vllm.entrypoints.openai.api_server",)
ENGINES = ("VLLM::EngineCore", "VLLM::Worker")
"""As vLLM calls its own processes; their command lines name no checkpoint."""


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The verdict on the same checkpoints and cases without any server and without Ray."""
    folder = tmp_path_factory.mktemp("in-process")
    written(folder, sys.executable)
    own = {"engine": "transformers", "device": "cpu", "dtype": "float32", "sampling": {"max_tokens": 24}, "threads": 1}
    arms = {arm: own | {"name": name, "model": str(CHECKPOINTS / name)} for arm, name in NAMES.items()}
    pipeline = json.loads((folder / "pipeline.yaml").read_text()) | arms | {"runner": "local"}
    (folder / "pipeline.yaml").write_text(json.dumps(pipeline))
    ran = subprocess.run(
        [sys.executable, "-m", "canary", "run", "pipeline.yaml", "--no-early-stop", "--json"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


def quality(document: dict[str, Any]) -> dict[str, str]:
    """What was decided of each stratum."""
    return {one["name"]: one["status"] for one in document["signals"] if one["kind"] == "quality"}


def require_the_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """One verdict, and for one reason."""
    assert found["verdict"] == expected["verdict"] == "rollback"
    assert found["reason"].startswith("quality/tool_call/pass: ")
    assert expected["reason"].startswith("quality/tool_call/pass: ")


def require_once(responses: tuple[Response, ...]) -> int:
    """Every pair stands in the journal once, and none is an error; how many there are."""
    ids = {one.id for one in responses}
    assert Counter((one.id, one.arm) for one in responses) == {(case, arm): 1 for case in ids for arm in Arm}
    assert [one.error for one in responses if one.error] == []
    return len(ids)


def require_interleaved(responses: tuple[Response, ...]) -> None:
    """At no time is one arm further ahead than pairs are in flight, and on the whole neither is ahead.

    Who is first in a pair is the coin's choice at the driver
    (`test_first_is_sent_first`); on the way to two processes chance has its
    say too, for stretches where a machine is full. Starts of both arms are one
    sequence in time: their rank sums differ less than those of two random
    halves would in two of three draws.
    """
    starts = {arm: [one.started_at or 0.0 for one in responses if one.arm is arm] for arm in Arm}
    sent = sorted((at, 1 if arm is Arm.BASELINE else -1) for arm, own in starts.items() for at in own)

    assert max(abs(ahead) for ahead in accumulate(step for _, step in sent)) <= CONCURRENCY
    assert stats.mannwhitneyu(*starts.values()).pvalue > 1 / 3


def end(process: subprocess.Popen[str], awaited: tuple[str, ...], *signals: signal.Signals) -> list[str]:
    """Both servers have come as far as awaited when the signals come, and nothing is left then; what it said."""
    until(lambda: Counter(below(process, awaited)) == dict.fromkeys(awaited, len(Arm)))
    left = family(process)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.5)
    _, said = process.communicate(timeout=HANGS_S)
    require_gone(left)
    return said.splitlines()


def below(process: subprocess.Popen[str], names: tuple[str, ...]) -> list[str]:
    """Which of these processes a command has started, by what they call themselves or the module that they run."""
    return [name for name, _ in started(process, names)]


def started(process: subprocess.Popen[str], names: tuple[str, ...]) -> list[tuple[str, psutil.Process]]:
    """The same, each with its process."""
    found = []
    with suppress(psutil.Error):
        for one in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                line = one.cmdline()
                found += [(name, one) for name in names if line[:1] == [name] or line[1:3] == ["-m", name]]
    return found


def test_a_run_that_was_ended_twice_goes_on_to_the_verdict(
    vllm: str,
    tmp_path: Path,
    canary: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    in_process: dict[str, Any],
) -> None:
    """Killed outright, then by Control-C twice, it leaves no process; resumed, it finds the lost stratum.

    Both arms were asked and observed together.
    """
    monkeypatch.setattr(sample, "EVERY_S", 0.1)
    killed = command(tmp_path, written(tmp_path, vllm), "--no-early-stop", "--runs", "runs")
    end(killed, ENGINES, signal.SIGKILL)
    stopped = command(tmp_path, "--resume", run_of(tmp_path))
    said = end(stopped, SERVERS, signal.SIGINT, signal.SIGINT)

    ran = canary("run", "--resume", run_of(tmp_path))

    assert stopped.returncode == 130
    assert f"canary: interrupted; go on with canary run --resume {run_of(tmp_path)}" in said
    assert ran.status == 1, ran.out + ran.err
    document = json.loads((run_of(tmp_path) / "verdict.json").read_text())
    require_the_same(document, in_process)
    assert quality(document) == quality(in_process)
    assert {signal["name"] for signal in document["signals"]} >= SIGNALS
    for kind in ("saturation", "latency"):  # both models are of one size; what is only shown has no wide margin
        own = [one for one in document["signals"] if one["kind"] == kind and one["tier"] == "blocking"]
        assert [one["reason"] for one in own if one["status"] == "fail"] == []
    assert "observations" in document["record"]
    _, evidence = load_run(run_of(tmp_path))
    assert require_once(evidence.responses) == COUNT
    require_interleaved(evidence.responses)

    moments = {arm: [one.at for one in evidence.observations if one.arm is arm] for arm in Arm}
    assert moments[Arm.BASELINE] == moments[Arm.CANDIDATE]
    starts = Counter(one.arm for one in evidence.observations if "started_s" in one.values)
    assert all(1 <= starts[arm] <= 3 for arm in Arm)  # those that were ended may have come so far too
    assert "baseline, replica 1: up after" in ran.err
    assert "servers were up after: baseline" in ran.out
    assert left() == []


def test_an_engine_that_is_killed_in_the_middle_is_replaced(
    vllm: str, tmp_path: Path, in_process: dict[str, Any]
) -> None:
    """One server's engine goes while pairs are in flight: a new server comes up, and no pair is lost or doubled."""
    process = command(tmp_path, written(tmp_path, vllm), "--no-early-stop", "--runs", "runs")
    until(lambda: sum(file.read_bytes().count(b"\n") for file in tmp_path.glob("runs/2*/responses.jsonl")) >= 40)
    started(process, ENGINES)[-1][1].kill()
    _, said = process.communicate(timeout=HANGS_S)

    assert process.returncode == 1, said
    assert sum(": up after" in line for line in said.splitlines()) == len(Arm) + 1
    require_the_same(json.loads((run_of(tmp_path) / "verdict.json").read_text()), in_process)
    assert check_files(run_of(tmp_path)) == []
    assert require_once(load_run(run_of(tmp_path))[1].responses) == COUNT
    assert left() == []


def test_a_submitted_run_has_the_verdict_of_this_process(vllm: str, tmp_path: Path, in_process: dict[str, Any]) -> None:
    """A head node that wants a token runs two servers; verdict, exit status and sealed evidence come back."""
    written(tmp_path, vllm)
    with head_node(**TOKEN) as address:
        ran = apart("submit", "pipeline.yaml", "--address", address, "--json", cwd=tmp_path, **TOKEN)

    assert ran.returncode == 1, ran.stderr
    require_the_same(json.loads(ran.stdout), in_process)
    assert check_files(run_of(tmp_path)) == []
    _, evidence = load_run(run_of(tmp_path))
    assert 30 <= require_once(evidence.responses) <= COUNT  # the run may stop early
    assert {one.arm for one in evidence.observations} == set(Arm)
    assert "baseline, replica 1: up after" in ran.stderr
    assert left() == []
