"""What a real MLflow server has of a run, however often and whatever way it was published."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from canary.manifest import digest
from tests.tracking.conftest import Cut, Desk, Server

ROOT = Path(__file__).resolve().parents[2]
FEW = 24
HANGS_S = 600
"""Seconds after which a process is taken to hang."""


def to(server: Server, experiment: str) -> dict[str, Any]:
    """A pipeline's lines that publish to a server."""
    return {"reporters": ["mlflow"], "mlflow": {"tracking_uri": server.url, "experiment": experiment}}


def state(server: Server, experiment: str) -> dict[str, Any]:
    """Everything countable that the server has of an experiment of one gate."""
    (gate,) = server.gates(experiment)
    arms = server.arms(experiment, gate)
    traces = server.traces(experiment)
    models = server.ask("2.0/mlflow/logged-models/search", experiment_ids=[server.experiment(experiment)])
    files = server.get("api/2.0/mlflow/artifacts/list", run_id=gate["info"]["run_id"], path="gate/record")["files"]
    table = server.get("get-artifact", run_uuid=gate["info"]["run_id"], path="gate/cases.json")
    return {
        "tags": {key: value for key, value in gate["tags"].items() if key.startswith("gate.")},
        "metrics": gate["metrics"],
        "arms": {arm: run["metrics"] for arm, run in arms.items()},
        "points": sum(len(run["data"].get("metrics", [])) for run in (gate, *arms.values())),
        "inputs": {arm: len(run["inputs"]["dataset_inputs"]) for arm, run in arms.items()},
        "statuses": {run["info"]["status"] for run in (gate, *arms.values())},
        "models": sorted(model["info"]["name"] for model in models["models"]),
        "traces": sorted(trace["client_request_id"] for trace in traces),
        "assessments": sum(len(trace.get("assessments", [])) for trace in traces),
        "files": sorted(file["path"] for file in files),
        "rows": len(json.loads(table)["data"]),
    }


def test_a_run_is_there_through_the_rest_api(server: Server, desk: Desk) -> None:
    """One run for the verdict, one below it for each arm, each with its numbers, its model and the golden set."""
    run = desk.run(wrong=20, cases=FEW, **to(server, "rest"))
    verdict = json.loads((run / "verdict.json").read_text())
    found = state(server, "rest")
    (gate,) = server.gates("rest")

    assert found["tags"]["gate.record_sha256"] == digest((run / "manifest.json").read_bytes())
    assert (found["tags"]["gate.verdict"], found["tags"]["gate.complete"]) == ("rollback", "true")
    assert found["tags"]["gate.golden_sha256"] == verdict["record"]["golden"]
    signal = next(s for s in verdict["signals"] if s["name"] == "quality/all/pass")
    assert found["arms"]["candidate"]["quality/all/pass"] == pytest.approx(signal["candidate"])
    assert found["arms"]["baseline"]["quality/a/pass"] == 1.0
    assert found["metrics"]["quality/all/pass/change"] == pytest.approx(signal["estimate"])
    assert found["metrics"]["quality/all/pass/status"] == 2.0
    assert found["inputs"] == {"baseline": 1, "candidate": 1}
    assert found["statuses"] == {"FINISHED"}
    assert found["models"] == ["v1", "v2"]
    assert found["rows"] == FEW
    assert {f"gate/record/{path.name}" for path in run.iterdir() if not path.name.startswith(".")} == set(
        found["files"]
    )
    assert (
        server.get("get-artifact", run_uuid=gate["info"]["run_id"], path="gate/verdict.json")
        == (run / "verdict.json").read_text()
    )


def test_metrics_belong_to_their_model_and_golden_set(server: Server, desk: Desk) -> None:
    """The same numbers stand on the logged model, with the digest of the cases they were measured on."""
    run = desk.run(cases=FEW, **to(server, "models"))
    golden = json.loads((run / "plan.json").read_text())["golden_sha256"]
    found = server.ask("2.0/mlflow/logged-models/search", experiment_ids=[server.experiment("models")])["models"]
    candidate = next(model for model in found if model["info"]["name"] == "v2")
    metric = next(m for m in candidate["data"]["metrics"] if m["key"] == "quality/all/pass")

    assert metric["value"] == 1.0
    assert metric["dataset_digest"] == golden[:36]
    tags = {tag["key"]: tag["value"] for tag in candidate["info"]["tags"]}
    assert tags["gate.digest"] == json.loads((run / "plan.json").read_text())["candidate"]["digest"]


def test_every_answer_is_a_trace_with_its_grades(server: Server, desk: Desk) -> None:
    """Named by case, repeat and arm; its assessments say who graded, and why; it is linked to the verdict's run."""
    desk.run(wrong=3, cases=FEW, **to(server, "traces"))
    (gate,) = server.gates("traces")
    traces = {trace["client_request_id"]: trace for trace in server.traces("traces")}
    arms = ("baseline", "candidate")

    assert sorted(traces) == sorted(f"c{i}:0:{arm}" for i in range(FEW) for arm in arms)
    lost = traces["c1:0:candidate"]
    grades = {a["assessment_name"]: a for a in lost["assessments"]}
    assert set(grades) == {"exact", "pass"}
    assert grades["exact"]["feedback"]["value"] is False
    assert grades["exact"]["source"] == {"source_type": "CODE", "source_id": "canary-gate"}
    assert "no v2" in grades["exact"]["rationale"]
    assert lost["tags"]["gate.stratum"] == "b"
    assert "no v2" in lost["response_preview"]

    from mlflow import MlflowClient

    client = MlflowClient(server.url)
    linked = client.search_traces(
        locations=[server.experiment("traces")], run_id=gate["info"]["run_id"], max_results=500, include_spans=False
    )
    assert len(linked) == 2 * FEW
    (span,) = client.get_trace(lost["trace_id"]).data.spans
    assert (span.inputs, span.outputs) == ({"q": "1?"}, "no v2")


def test_publishing_again_doubles_nothing(server: Server, desk: Desk) -> None:
    """A second and a third time leave everything as it was, also where the mark of completeness is gone."""
    run = desk.run(wrong=2, cases=FEW, **to(server, "again"))
    first = state(server, "again")

    told = desk.canary("log", run)
    assert "has it already" in told.out
    (gate,) = server.gates("again")
    server.ask("2.0/mlflow/runs/delete-tag", run_id=gate["info"]["run_id"], key="gate.complete")
    assert desk.canary("log", run).status == 0

    assert state(server, "again") == first


@pytest.mark.parametrize("after", [3, 17, 60])
def test_a_line_that_dies_is_taken_up_again(
    server: Server, desk: Desk, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the line dies, the next attempt completes what is there, and the result is that of one attempt."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    name = f"cut-{after}"
    run = desk.run(wrong=2, cases=FEW, **to(server, f"{name}-whole"))
    cut = Cut(server, after)
    try:
        died = desk.canary("log", run, "--tracking-uri", cut.url, "--experiment", name)
    finally:
        cut.close()

    assert died.status == 4
    assert died.err.startswith(f"canary: MLflow at {cut.url}: ")
    assert desk.canary("log", run, "--experiment", name).status == 0
    assert state(server, name) == state(server, f"{name}-whole")


def test_a_server_that_is_down_changes_no_verdict(desk: Desk, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run directory is whole, the exit code is the verdict's, and `canary log` makes up for it later."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    golden = desk.run(wrong=20, cases=FEW)
    dead = {"reporters": ["mlflow"], "mlflow": {"tracking_uri": "http://127.0.0.1:9", "experiment": "down"}}
    pipeline = json.loads((desk.folder / "p.yaml").read_text()) | dead
    (desk.folder / "p.yaml").write_text(json.dumps(pipeline))

    ran = desk.canary("run", desk.folder / "p.yaml", "--runs", desk.folder / "dead")

    (run,) = (desk.folder / "dead").glob("2*")
    assert ran.status == 1
    assert (
        "canary: 'mlflow' has not got it, the verdict stands: TrackingError: MLflow at http://127.0.0.1:9: cannot be "
        "reached: connection refused\n" in ran.err
    )
    assert desk.canary("verify", run).status == 0
    assert (run / "verdict.json").read_bytes() == (golden / "verdict.json").read_bytes()
    assert desk.canary("log", run, "--tracking-uri", server.url).status == 0
    assert state(server, "down")["rows"] == FEW


def test_a_server_that_never_answers_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the call and says nothing is called once, for the bounded time, and costs no run."""
    import socket

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    run = desk.run(cases=FEW)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = desk.canary("log", run, "--tracking-uri", f"http://127.0.0.1:{silent.getsockname()[1]}")
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()

    assert told.status == 4
    assert "(read timeout=1)" in told.err


def test_what_bounds_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the user has set nothing, retries and timeouts are short while connected, and untouched afterwards."""
    from canary.tracking import connected

    names = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    with connected("http://127.0.0.1:9"):
        inside = [os.environ[name] for name in names]

    assert inside == ["15", "2"]
    assert [os.environ.get(name) for name in names] == [None, None]


def test_a_killed_server_and_a_killed_publisher(server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is killed in the middle, then the publisher in the middle: the third attempt completes it."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = desk.run(wrong=2, cases=110, **to(server, "whole"))
    doomed = Server(server.store, server.artifacts)
    try:
        doomed.start()
        with held_back(doomed, 60) as line:
            one = publisher(run, line.url, "killed")
            assert line.is_spent.wait(HANGS_S)
            doomed.kill()
            line.is_released.set()
            assert one.wait(timeout=HANGS_S) == 4
    finally:
        doomed.kill()
    before = len(server.traces("killed"))
    assert 20 <= before < 220
    with held_back(server, 100) as line:
        two = publisher(run, line.url, "killed")
        assert line.is_spent.wait(HANGS_S)
        two.kill()
        two.wait()
    assert before + 10 <= len(server.traces("killed")) < 220

    assert desk.canary("log", run, "--experiment", "killed").status == 0
    assert state(server, "killed") == state(server, "whole")


def test_gates_at_once(server: Server, desk: Desk) -> None:
    """Two gates that publish at once into an experiment that is not there yet, one of them twice, are two."""
    runs = [desk.run(wrong=n, name=f"n{n}", cases=FEW) for n in (1, 2)]
    started = [publisher(run, server.url, "at-once") for run in (*runs, runs[0])]

    assert [process.wait(timeout=HANGS_S) for process in started] == [0] * 3
    gates = server.gates("at-once")
    assert {g["tags"]["gate.record_sha256"] for g in gates} == {
        digest((run / "manifest.json").read_bytes()) for run in runs
    }
    assert len(gates) == 2
    assert len(server.traces("at-once")) == 2 * 2 * FEW


HOSTILE = "\x00 \u202e \U0001f600 '; DROP TABLE runs; --"


def test_hostile_text_is_published(server: Server, desk: Desk) -> None:
    """No character of a case, a metric or an answer stops a run from being published, nor is it lost in silence."""
    publish_hostile(desk, server)
    traces = server.traces("hostile")

    assert len(traces) == 24
    assert all(len(trace["client_request_id"]) <= 50 for trace in traces)
    assert any("\\x00 " in trace["response_preview"] for trace in traces)
    (gate,) = server.gates("hostile")
    assert gate["tags"]["gate.complete"] == "true"
    odd = [name for name in gate["metrics"] if name.startswith("quality/all/a-b--")]
    assert odd, sorted(gate["metrics"])


def publish_hostile(desk: Desk, server: Server) -> Path:
    """A run of everything that stores choke on, published."""
    golden, answers = [], []
    for i in range(12):
        id_ = f"{'long' * 30}-{i}" if i % 2 else f"a:{i}:b"
        golden.append({"id": id_, "vars": {"q": HOSTILE, "deep": [{"x": HOSTILE}]}, "metadata": {"stratum": "str%tum"}})
        scores = {"a[b]%": 0.5, "..": 0.25, "x" * 300: 1.0}
        answers.append({"id": id_, "output": HOSTILE + "y" * 5000, "scores": scores, "ttft_s": 0.1, "total_s": 0.5})
    paths = [desk.write("g.jsonl", golden), desk.write("b.jsonl", answers), desk.write("c.jsonl", answers)]
    out = desk.folder / "runs" / "hostile"
    compared = desk.canary("compare", *paths[1:], "--golden", paths[0], "--out", out, "--fail-on", "never")
    assert compared.status == 0, compared.err
    logged = desk.canary("log", out, "--tracking-uri", server.url, "--experiment", "hostile")
    assert logged.status == 0, logged.err
    return out


def publisher(run: Path, url: str, experiment: str) -> subprocess.Popen[bytes]:
    """`canary log` in a process of its own."""
    command = ["-m", "canary", "log", str(run), "--tracking-uri", url, "--experiment", experiment]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL)


@contextmanager
def held_back(server: Server, after: int) -> Iterator[Cut]:
    """A line to a server that holds back all requests but the first ones, and is cut in the end."""
    line = Cut(server, after, holds=True)
    try:
        yield line
    finally:
        line.close()
