"""Releases that are paid by the hour: what a request costs of them, and how that is compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from canary.compare import compare
from canary.config import load_pipeline
from canary.errors import ConfigError
from canary.evidence import load_run
from canary.pipeline import Judge, Pipeline
from canary.records import Arm, Attempt, ErrorKind, Failure, Response
from canary.run.hire import billed, billing, rate_of
from canary.signals.wording import dollars

Canary = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]


def pipeline(engine: str = "vllm", price: dict[str, float] | None = None, **fields: Any) -> Pipeline:
    """Two equal releases."""
    release = {"name": "v", "engine": engine, "model": "m", "price": price or {"per_replica_hour": 7.2}}
    return Pipeline.model_validate({"suite": "s", "baseline": release, "candidate": release} | fields)


def answer(**fields: Any) -> Response:
    """One response."""
    return Response(id="a", arm=Arm.BASELINE, output="x", **fields)


def test_a_request_costs_its_share_of_the_arm() -> None:
    """Two replicas of two GPUs at $1.80 are $0.002 a second; one of eight in flight has an eighth of that."""
    ray = {"type": "ray", "gpus_per_arm": 2, "replicas": 2}

    assert rate_of(pipeline(price={"per_gpu_hour": 1.8}, runner=ray), Arm.CANDIDATE) == pytest.approx(0.002 / 8)
    assert rate_of(pipeline(runner=ray, concurrency=4), Arm.BASELINE) == pytest.approx(0.004 / 4)
    assert rate_of(pipeline(), Arm.BASELINE) == pytest.approx(0.002 / 8)


def test_shares_add_up_to_the_arm_s_own_time() -> None:
    """Eight places that are filled for 10 s cost what 10 s of the machine cost, however they are cut into requests."""
    rate = rate_of(pipeline(concurrency=8), Arm.BASELINE)
    cuts = np.random.default_rng(0).dirichlet(np.ones(50), 8) * 10
    bills = [billed(answer(total_s=float(seconds)), rate) for seconds in cuts.ravel()]

    assert sum(bill.cost_usd or 0 for bill in bills if bill) == pytest.approx(10 * 7.2 / 3600)


def test_a_server_that_is_paid_by_the_hour_serves_one_arm() -> None:
    """In one batch the slower arm slows both, so that a candidate of half the throughput would seem to cost no more."""
    other: dict[str, Any] = {"candidate": {"name": "c", "engine": "vllm", "model": "m", "prompt": "x {{prompt}}"}}

    assert not pipeline(**other).shares_engine
    with pytest.raises(ValueError, match=r"'runner.share' must be false, or left out: a price is by the hour"):
        pipeline(runner={"type": "ray", "share": True}, **other)
    assert pipeline("transformers", runner={"type": "local", "share": True}).shares_engine


def test_one_at_a_time_has_all() -> None:
    """The engine transformers answers one request at a time."""
    assert rate_of(pipeline("transformers", concurrency=8), Arm.BASELINE) == pytest.approx(0.002)


def test_token_prices_are_left_alone() -> None:
    """What an engine has priced, or nobody, stays."""
    token = {"input_per_million": 1.0, "output_per_million": 2.0}
    answers = answer(total_s=2.0, cost_usd=0.5), answer(total_s=2.0)

    assert billing(pipeline(price=token))(answers) == answers


def test_failures_cost_their_time() -> None:
    """Every try is billed, a failed one too; a request of a dead process has no known cost."""
    failure = Failure(kind=ErrorKind.SERVER, message="timeout")
    tries = Attempt(seconds=2.0, error=failure), Attempt(seconds=3.0, error=failure)
    failed, dead = billing(pipeline())((answer(total_s=3.0, error=failure, attempts=tries), answer(error=failure)))

    assert failed is not None
    assert failed.cost_usd == pytest.approx(5 * 0.00025)
    assert [each.cost_usd for each in failed.attempts] == pytest.approx([0.0005, 0.00075])
    assert dead is not None
    assert dead.cost_usd is None


@pytest.mark.parametrize(
    ("engine", "price", "runner", "message"),
    [
        (
            "vllm",
            "{per_gpu_hour: 2}",
            "local",
            "'baseline.price.per_gpu_hour' needs GPUs to count: give 'runner: {type",
        ),
        ("vllm", "{per_gpu_hour: 2}", "ray", "(got 'ray' without any), or say 'per_replica_hour' for all that one"),
        ("vllm", "{per_gpu_hour: 2, per_replica_hour: 2}", "local", "must have one of 'per_gpu_hour' and 'per_replica"),
        (
            "vllm",
            "{per_hour: 2}",
            "local",
            "'baseline.price.per_hour' is not a known key; did you mean 'per_gpu_hour'?",
        ),
        ("vllm", "{per_replica_hour: 0}", "local", "'baseline.price.per_replica_hour' must be a number greater than 0"),
        ("vllm", "{per_replica_hour: .nan}", "local", "must be a finite number (got .nan)"),
        ("vllm", "{}", "local", "'baseline.price.input_per_million' is required"),
        ("openai", "{per_replica_hour: 2}", "local", "'price' must be per token: what runs behind an endpoint is not"),
    ],
)
def test_prices_that_cannot_be(tmp_path: Path, engine: str, price: str, runner: str, message: str) -> None:
    """One error that names the key."""
    path = tmp_path / "p.yaml"
    (tmp_path / "s.yaml").write_text("golden_sets: [g]\n")
    release = f"{{name: a, engine: {engine}, model: m, price: {price}}}"
    path.write_text(f"suite: s.yaml\nbaseline: {release}\ncandidate: {release}\nrunner: {runner}\n")

    with pytest.raises(ConfigError) as error:
        load_pipeline(path)

    assert message in str(error.value)


def test_a_judge_is_paid_by_token() -> None:
    """Its budget counts tokens before they are spent."""
    release = {"name": "j", "engine": "vllm", "model": "m", "price": {"per_replica_hour": 1}}

    with pytest.raises(ValidationError, match=r"'judge\.release\.price' must be per token"):
        Judge.model_validate({"release": release})


@pytest.fixture
def hired(tmp_path: Path) -> Path:
    """The quickstart's baseline against itself at a dollar a second, on 60 of its cases."""
    pytest.importorskip("transformers", reason="needs canary-gate[embeddings]")
    release = f"engine: transformers, model: {ROOT}/pipelines/checkpoints/baseline, sampling: {{max_tokens: 24}}"
    (tmp_path / "suite.yaml").write_text(f"golden_sets: [{ROOT}/golden_sets/quickstart]\n")
    path = tmp_path / "hired.yaml"
    path.write_text(
        "suite: suite.yaml\nstages: {staging: {cases: 60}}\n"
        f"baseline: {{name: a, {release}, price: {{per_replica_hour: 3600}}}}\n"
        f"candidate: {{name: b, {release}, price: {{per_replica_hour: 3600}}}}\n"
    )
    return path


@pytest.mark.slow
def test_a_run_is_billed_and_compared_in_time(canary: Canary, hired: Path) -> None:
    """A dollar for each second, in the order of the clock; a plan forecasts it once it was timed."""
    before = " ".join(canary("plan", hired, "--allow-underpowered").out.split())
    calibrated = canary("calibrate", "noise", hired, "--runs", hired.parent / "runs")
    after = " ".join(canary("plan", hired, "--allow-underpowered").out.split())
    plan, evidence = load_run(next((hired.parent / "runs").glob("*/plan.json")).parent)
    (costs,) = (each for each in compare(evidence, plan) if each.kind == "cost")
    starts = {answer.cost_usd: answer.started_at or 0 for answer in evidence.responses if answer.arm is Arm.BASELINE}
    usage = json.loads(hired.with_suffix(".noise.json").read_text())["usage"]

    assert calibrated.status == 0, calibrated.err
    assert all(answer.cost_usd == pytest.approx(answer.total_s) for answer in evidence.responses)
    assert costs.timed
    (report,) = (hired.parent / "runs").glob("*/report.html")
    assert "cost/per_request: ×" not in report.read_text()  # no second opinion that takes requests one by one
    in_order = np.diff([starts[float(cost)] for cost in costs.baseline]) > 0
    assert np.mean(in_order) > 0.8  # of a pair the earlier arm's start counts
    assert before.count("money unknown until timed") == 2
    assert after.count(f"about {dollars(60 * usage['total_s'])} at the calibration's pace") == 2


def test_a_plan_shows_a_small_sum(tmp_path: Path, canary: Canary) -> None:
    """Three digits, however little it is: nothing that costs something is said to cost $0.00."""
    price = "{input_per_million: 0.02, output_per_million: 0.08}"
    live = f"{{name: a, engine: openai, model: m, sampling: {{max_tokens: 8}}, price: {price}}}"
    (tmp_path / "prompts.jsonl").write_text('{"id": "a", "vars": {"prompt": "say 1"}, "expected": "1"}\n')
    (tmp_path / "suite.yaml").write_text("golden_sets: [prompts.jsonl]\n")
    (tmp_path / "p.yaml").write_text(f"suite: suite.yaml\nbaseline: {live}\ncandidate: {live}\n")

    planned = canary("plan", tmp_path / "p.yaml", "--allow-underpowered")

    assert planned.out.count("at most 8 output tokens, at most $7.20e-07\n") == 2
