"""Two real vLLM servers under a real local Ray, judged by `canary run`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from canary.evidence import load_run
from canary.records import Arm
from canary.runners import sample
from tests.engines.test_vllm import CHECKPOINTS, ROOT, left, release, servers, vllm

__all__ = ["vllm"]  # the fixture, with its skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]

SIGNALS = {
    "saturation/cpu", "saturation/kv_cache", "saturation/memory", "saturation/preemptions", "saturation/queue",
    "throughput/decode", "throughput/prefill",
}  # fmt: skip
CONCURRENCY = 4
"""Pairs in flight."""


def asked() -> list[str]:
    """60 cases of the stratum that was lost, ten of each other."""
    path = ROOT / "golden_sets" / "quickstart" / "prompts.jsonl"
    strata: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        strata[json.loads(line)["metadata"]["stratum"]].append(line)
    return [line for name, own in strata.items() for line in own[: 60 if name == "tool_call" else 10]]


def written(folder: Path, python: str, **candidate: Any) -> Path:
    """A pipeline over 100 cases, with wide margins for time: two servers share few cores."""
    arms = {
        arm.value: release(python, name=name, model=str(CHECKPOINTS / name), sampling={"max_tokens": 24})
        for arm, name in zip(Arm, ("baseline", "candidate-bad"), strict=True)
    }
    if candidate:
        arms["candidate"] = release(python, **{"sampling": {"max_tokens": 24}} | candidate)
    wide = {"tm95": {"floor_s": 5}, "tm99": {"floor_s": 5}, "slow": {"threshold_s": 9}}
    documents: dict[str, Any] = {
        "suite": {"golden_sets": ["prompts.jsonl"], "strata": {"by": "metadata.stratum"}},
        "policy": {"version": 1, "latency": {"ttft": wide, "itl": wide}},
        "pipeline": {
            "suite": "suite.yaml",
            "policy": "policy.yaml",
            "runner": {"type": "ray", "cpus_per_arm": 1},
            "concurrency": CONCURRENCY,
        }
        | {arm: one.model_dump(mode="json", exclude_unset=True) for arm, one in arms.items()},
    }
    for name, document in documents.items():
        (folder / f"{name}.yaml").write_text(json.dumps(document))
    (folder / "prompts.jsonl").write_text("".join(asked()), encoding="utf-8")
    return folder / "pipeline.yaml"


def test_an_open_loop_is_offered_to_both_servers(vllm: str, tmp_path: Path, canary: Callable[..., Any]) -> None:
    """Each pair is due for both at once, none is sent before, and what was lost is found under any load."""
    path = written(tmp_path, vllm)
    load = {"load": {"shape": "poisson", "rate": 10.0}, "concurrency": 100}
    path.write_text(json.dumps(json.loads(path.read_text()) | load))

    ran = canary("run", path, "--runs", tmp_path / "runs", "--no-early-stop", "--json")

    assert ran.status == 1, ran.err
    assert ran.verdict["reason"].startswith("quality/tool_call/pass: ")
    assert ran.signal("load/late")["n"] == 100
    plan, evidence = load_run(next((tmp_path / "runs").glob("2*")))
    due = {arm: {r.id: r.scheduled_at or 0.0 for r in evidence.responses if r.arm is arm} for arm in Arm}
    late = [(response.started_at or 0.0) - (response.scheduled_at or 0.0) for response in evidence.responses]
    assert due[Arm.BASELINE] == due[Arm.CANDIDATE]
    assert plan.load is not None
    assert np.ptp(list(due[Arm.BASELINE].values())) == pytest.approx(plan.load.seconds, rel=0.1)
    assert min(late) > -0.02
    assert left() == []


def test_a_prompt_only_change_has_one_server(
    vllm: str, tmp_path: Path, canary: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One server answers both arms, each with its own prompt and sampling, and is observed once, as nobody's own."""
    monkeypatch.setattr(sample, "EVERY_S", 0.2)
    asked_ = written(tmp_path, vllm, name="shorter", prompt="{{prompt}}", sampling={"max_tokens": 2})
    seen: list[int] = []
    moment = sample._moment

    async def counted(observable: Any) -> Any:
        seen.append(sum("canary.engines.vllm.keeper" in line for line in servers()))
        return await moment(observable)

    monkeypatch.setattr(sample, "_moment", counted)
    ran = canary("run", asked_, "--runs", tmp_path / "runs", "--no-early-stop")

    assert ran.status in (0, 1, 3), ran.out + ran.err
    plan, evidence = load_run(next((tmp_path / "runs").glob("2*")))
    document = json.loads(next((tmp_path / "runs").glob("2*/verdict.json")).read_text())
    lengths = {arm: {r.output_tokens or 0 for r in evidence.responses if r.arm is arm} for arm in Arm}
    assert plan.shared_engine
    assert max(lengths[Arm.CANDIDATE]) == 2
    assert max(lengths[Arm.BASELINE]) > 2
    assert {one.arm for one in evidence.observations} == {None}
    assert sum("started_s" in one.values for one in evidence.observations) == 1
    assert not [s["name"] for s in document["signals"] if s["kind"] in {"saturation", "throughput"}]
    assert {s["name"] for s in document["signals"]} >= {"latency/ttft/tm95", "latency/itl/tm95"}
    assert "both arms, replica 1: up after" in ran.err
    assert "servers were up after: both arms" in ran.out
    assert set(seen) == {2}  # who waits, and who keeps
    assert left() == []
