"""What people say in MLflow comes back as labels."""

from __future__ import annotations

import json
from typing import Any

from tests.tracking.conftest import Desk, Server


def say(server: Server, trace: str, name: str, value: Any, person: str = "ann", kind: str = "HUMAN") -> None:
    """Feedback on a trace through the REST API, as the UI gives it."""
    assessment = {
        "assessment_name": name,
        "trace_id": trace,
        "source": {"source_type": kind, "source_id": person},
        "feedback": {"value": value},
    }
    server.ask(f"3.0/mlflow/traces/{trace}/assessments", assessment=assessment)


def test_labels_come_back(server: Server, desk: Desk) -> None:
    """People's words only, the last of each person; answers are the record's; disputes are left out, loudly."""
    run = desk.run(wrong=2, cases=24, reporters=["mlflow"], mlflow={"tracking_uri": server.url, "experiment": "people"})
    traces = {trace["client_request_id"]: trace["trace_id"] for trace in server.traces("people")}
    say(server, traces["c0:0:candidate"], "polite", value=True)
    say(server, traces["c0:0:baseline"], "polite", value="no")
    say(server, traces["c3:0:candidate"], "polite", value=True)
    say(server, traces["c3:0:candidate"], "polite", value=False)
    say(server, traces["c4:0:candidate"], "polite", value=True)
    say(server, traces["c4:0:candidate"], "polite", value=False, person="bob")
    say(server, traces["c5:0:candidate"], "polite", value="perhaps")
    say(server, traces["c6:0:candidate"], "polite", value=True, person="gpt", kind="LLM_JUDGE")
    out = desk.folder / "labels.jsonl"

    told = desk.canary("import", "labels", "--from-mlflow", run, "--out", out)

    assert (told.status, told.out) == (0, f"3 labels written to {out}\n")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(rows, key=lambda row: (row["id"], row["arm"])) == [
        {"id": "c0", "arm": "baseline", "metric": "polite", "label": False, "output": "x"},
        {"id": "c0", "arm": "candidate", "metric": "polite", "label": True, "output": "no v2"},
        {"id": "c3", "arm": "candidate", "metric": "polite", "label": False, "output": "x"},
    ]
    assert sorted(told.err.splitlines()) == [
        "canary: left out: c4 (candidate), polite: people disagree",
        "canary: left out: c5 (candidate), polite: neither yes nor no",
    ]
    assert "is there already" in desk.canary("import", "labels", "--from-mlflow", run, "--out", out).err


def test_a_run_that_is_not_published_has_no_labels(server: Server, desk: Desk) -> None:
    """It says where it looked, and what to do."""
    run = desk.run(cases=24)
    command = ("--tracking-uri", server.url, "--experiment", "nobody")
    told = desk.canary("import", "labels", "--from-mlflow", run, "--out", desk.folder / "l", *command)

    assert told.status == 4
    assert told.err == f"canary: {run} is not in MLflow at {server.url}: publish it first with canary log {run}\n"
