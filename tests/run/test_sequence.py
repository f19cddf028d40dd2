"""One arm after the other: what it says of itself, what it leaves open, and what survives."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

import canary as package
from canary.evaluate import evaluate
from canary.evidence import load_run
from canary.records import Arm, Decision, Status
from canary.run.sequence import SPOOL
from tests.runners import actors
from tests.runners.actors import STOPS

Canary = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "pipelines" / "checkpoints" / "baseline"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(package.__file__).parents[1])}
WIDE = {
    "version": 1,
    "quality": {"max_drop": 0.9, "stratum": {"max_drop": 0.9}},
    "errors": {
        kind: {"max_increase": 0.9}
        for kind in ("server", "truncated", "refusal", "malformed", "content_filter", "context_length")
    },
}
"""A policy that so few cases can satisfy."""


class Workspace:
    """The shipped baseline against itself, in turn."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"

    def write(self, cases: int = 30, runner: Any = None, policy: Any = WIDE, **fields: Any) -> Path:
        """A pipeline; `fields` are both releases'."""
        every = (ROOT / "golden_sets" / "quickstart" / "prompts.jsonl").read_text().splitlines(keepends=True)
        chosen = [line for line in every if json.loads(line)["metadata"]["stratum"] == "classify"]
        chosen = (chosen if cases <= len(chosen) else every)[:cases]
        (self.folder / "prompts.jsonl").write_text("".join(chosen))
        (self.folder / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\n")
        (self.folder / "policy.yaml").write_text(yaml.safe_dump(policy))
        release = {"engine": "transformers", "model": str(SHIPPED), "device": "cpu"} | fields
        runner = (runner or {"type": "local"}) | {"sequential": True}
        document = {"suite": "suite.yaml", "policy": "policy.yaml", "runner": runner}
        arms = {"baseline": release | {"name": "v1"}, "candidate": release | {"name": "v2"}}
        path = self.folder / "p.yaml"
        path.write_text(yaml.safe_dump(document | arms))
        return path

    @property
    def run(self) -> Path:
        """The one run there is."""
        (found,) = self.runs.glob("2*")
        return found

    def lines(self, name: str) -> list[bytes]:
        """A file of the run, in whole lines."""
        path = self.run / name
        return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    @property
    def verdict(self) -> Any:
        """The run's verdict document."""
        return json.loads((self.run / "verdict.json").read_text())


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A folder for one run."""
    return Workspace(tmp_path)


def signals(document: Any, *kinds: str) -> dict[str, Any]:
    """Signals of some kinds, by name."""
    return {signal["name"]: signal for signal in document["signals"] if signal["kind"] in kinds}


def test_it_says_what_it_costs(workspace: Workspace, canary: Canary) -> None:
    """At plan time, which refuses what would hold; at the start; and in verdict and reports."""
    runner = {"type": "ray", "cpus_per_arm": 3, "gpus_per_arm": 1}
    planned = canary("plan", workspace.write(runner=runner))

    said = " ".join(planned.out.split())
    assert planned.status == 2
    assert "the arms are asked one after the other ('sequential: true'): quality, errors and prices per token" in said
    assert "room: 3 CPU, 1 GPU at once, for 1 x" in said
    assert "lacking: latency/ttft, latency/itl: the arms were asked one after the other" in said
    rules = {name: {"tier": "advisory"} for name in ("tm95", "tm99", "slow")}
    assert yaml.safe_load(block(planned.out)) == {"latency": {"ttft": rules, "itl": rules}}

    ran = canary("run", workspace.write(), "--runs", workspace.runs)
    summary = (workspace.run / "summary.md").read_text()
    assert ran.status == 3
    assert workspace.verdict["reason"].startswith("latency/")
    assert "evidence is missing: the arms were asked one after the other" in workspace.verdict["reason"]
    for text in (ran.err, ran.out, summary, json.dumps(workspace.verdict)):
        assert "the arms are asked one after the other ('sequential: true')" in " ".join(text.split())
    assert "the baseline first: 30 of 30 answers to come" in ran.err


def test_quality_is_paired_and_the_lines_it_names_let_it_promote(workspace: Workspace, canary: Canary) -> None:
    """Nothing else is open: judged again under a policy with these lines it is promoted, and `plan` agrees."""
    canary("run", workspace.write(), "--runs", workspace.runs)
    document = workspace.verdict
    open_ = {s["name"] for s in document["signals"] if s["status"] != "pass" and s["tier"] == "blocking"}
    named = {yaml_ for s in signals(document, "latency").values() for yaml_ in quoted(s["reason"])}

    assert open_ == {name for name in signals(document, "latency") if not name.startswith("latency/total")}
    assert all(signal["status"] == "pass" for signal in signals(document, "quality", "errors").values())
    policy: dict[str, Any] = dict(WIDE) | {"latency": {}}
    for line in named:
        policy["latency"] |= yaml.safe_load(line)["latency"]
    path = workspace.folder / "shown.yaml"
    path.write_text(yaml.safe_dump(policy))

    again = canary("replay", workspace.run, "--policy", path)
    assert again.status == 0, again.out
    planned = canary("plan", workspace.write(policy=policy), "--allow-underpowered")
    assert "the arms were asked one after the other" not in planned.out


def block(plan: str) -> str:
    """The lines of the policy that a plan gives, ready to be copied."""
    given = plan.partition("only show them:\n")[2].splitlines()
    return "\n".join(itertools.takewhile(lambda line: line.startswith("    "), given))


def quoted(reason: str) -> list[str]:
    """The line of the policy that a reason gives."""
    return [part.strip("'") for part in [reason.partition("only show it: ")[2]] if part]


def test_the_record_is_as_of_any_run(workspace: Workspace, canary: Canary) -> None:
    """Both arms' answers of every pair, once, one arm before the other; the same verdict again; nothing left over."""
    canary("run", workspace.write(), "--runs", workspace.runs)
    replayed = canary("replay", workspace.run, "--json")
    plan, evidence = load_run(workspace.run)

    started = {arm: [r.started_at or 0.0 for r in evidence.responses if r.arm is arm] for arm in Arm}
    keys = [(r.id, r.arm) for r in evidence.responses]
    assert len(keys) == len(set(keys)) == 60
    assert max(started[Arm.BASELINE]) < min(started[Arm.CANDIDATE])
    assert plan.sequential
    assert not plan.early_stopping
    assert json.loads(replayed.out) == workspace.verdict
    assert not (workspace.run / SPOOL).exists()
    assert canary("verify", workspace.run).status == 0


def test_the_clock_says_it_where_the_plan_does_not(workspace: Workspace, canary: Canary) -> None:
    """A plan that denies it changes no signal: all of one arm was sent before any of the other."""
    canary("run", workspace.write(), "--runs", workspace.runs)
    plan, evidence = load_run(workspace.run)

    denied = evaluate(evidence, plan.model_copy(update={"sequential": False}))
    assert denied.verdict is Decision.HOLD
    assert denied.signals == evaluate(evidence, plan).signals


def test_prices_by_the_hour_are_times(workspace: Workspace, canary: Canary) -> None:
    """Such a cost is no evidence either, and the reason names its line; prices per token stay paired."""
    canary("run", workspace.write(price={"per_replica_hour": 3.6}), "--runs", workspace.runs)
    cost = signals(workspace.verdict, "cost")["cost/per_request"]
    assert cost["status"] == Status.INCONCLUSIVE.label
    assert "'cost: {per_request: {tier: advisory}}'" in cost["reason"]  # and how the cost came about

    other = Workspace(workspace.folder)
    other.runs = workspace.folder / "priced"
    canary("run", other.write(price={"input_per_million": 1, "output_per_million": 1}), "--runs", other.runs)
    assert signals(other.verdict, "cost")["cost/per_request"]["status"] == "pass"


def test_arms_that_share_an_engine_are_not_asked_in_turn(workspace: Workspace, canary: Canary) -> None:
    """There is room for both then, so that latency stays evidence."""
    path = workspace.write()
    document = yaml.safe_load(path.read_text())
    document["candidate"]["prompt"] = "a {{prompt}}"
    path.write_text(yaml.safe_dump(document))
    planned = canary("plan", path, "--allow-underpowered")

    assert "both arms share one engine" in planned.out
    assert "one after the other" not in planned.out


def test_a_resumed_run_keeps_to_it(workspace: Workspace, canary: Canary) -> None:
    """Answers of both kinds must not be mixed; a run that another process writes is left alone."""
    canary("run", workspace.write(), "--runs", workspace.runs)
    (workspace.run / "manifest.json").unlink()
    path = workspace.write()
    path.write_text(path.read_text().replace("sequential: true", "sequential: false"))

    again = canary("run", "--resume", workspace.run)
    assert again.status == 2
    assert "'sequential' changed under this run: plan.json has true, now false" in " ".join(again.err.split())


@pytest.mark.parametrize(
    ("spooled", "words"),
    [
        ('{"id":"c1","arm":"candidate","repeat":0,"output":"x"}\n', "'c1' repeat 0 must be an answer of the baseline"),
        (
            '{"id":"c1","arm":"baseline","repeat":0,"output":"x"}\n' * 2,
            "'c1' repeat 0 must be an answer of the baseline",
        ),
        ('{"id":"c1","arm":"baseline","output":NaN}\n{"id"', f"{SPOOL}:1: "),
    ],
)
def test_a_spool_that_no_crash_explains(workspace: Workspace, canary: Canary, spooled: str, words: str) -> None:
    """Another arm's answer, one twice, or a line that is none stops the run before anything is asked."""
    canary("run", workspace.write(cases=12), "--runs", workspace.runs)
    for name in ("manifest.json", "responses.jsonl"):
        (workspace.run / name).unlink()
    (workspace.run / SPOOL).write_text(spooled)

    again = canary("run", "--resume", workspace.run)
    assert again.status in (2, 4)
    assert words in again.err
    assert "Traceback" not in again.err


@pytest.mark.slow
@pytest.mark.parametrize("runner", [{"type": "local"}, {"type": "ray", "cpus_per_arm": 1}], ids=["local", "ray"])
def test_killed_in_either_half_it_goes_on_there(workspace: Workspace, runner: dict[str, Any]) -> None:
    """What was answered before a `kill -9` stands in the record as it was; torn lines are asked again, no other."""
    path = workspace.write(cases=120, runner=runner, sampling={"max_tokens": 24})
    killed("canary.run.spool", "Spool", "run", path, "--runs", workspace.runs, "--no-early-stop")
    first = workspace.lines(SPOOL)
    with (workspace.run / SPOOL).open("ab") as file:
        file.write(b'{"id":"c119","arm":"base')
    assert workspace.lines("responses.jsonl") == []

    killed("canary.journal", "Journal", "run", "--resume", workspace.run)
    second, half = workspace.lines(SPOOL), workspace.lines("responses.jsonl")
    assert (len(first), len(second), len(half)) == (20, 120, 40)
    assert second[: len(first)] == first

    command = [sys.executable, "-m", "canary", "run", "--resume", str(workspace.run)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    whole = workspace.lines("responses.jsonl")
    assert len(whole) == 240
    assert set(whole) >= {*first, *second, *half}
    assert not (workspace.run / SPOOL).exists()
    _, evidence = load_run(workspace.run)
    started = {arm: [r.started_at or 0.0 for r in evidence.responses if r.arm is arm] for arm in Arm}
    assert max(started[Arm.BASELINE]) < min(started[Arm.CANDIDATE])


def killed(module: str, name: str, *argv: object) -> None:
    """Runs a command until it has appended twenty answers or pairs to a file, then kills it."""
    code = STOPS.format(module=module, name=name, at=20) + "\nfrom canary.cli import entry\n\nentry()\n"
    command = [sys.executable, "-c", code, *map(str, argv)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    actors.until(lambda: process.poll() is not None or psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    assert process.poll() is None, process.communicate()[1]
    process.kill()
    process.communicate()
