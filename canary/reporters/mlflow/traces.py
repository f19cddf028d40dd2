"""Every answer as a trace of MLflow, its scores as assessments.

A trace's id is made of the gate's run, the case, the repeat and the arm, so
that sending one twice writes the same one twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from canary.plan import Plan
from canary.records import Evidence, Prompt, Response, Score
from canary.reporters.mlflow.gate import Gate, OpenArm, parts
from canary.reporters.mlflow.names import by_answer, feedback_value
from canary.reporters.mlflow.table import question
from canary.tracking import text_for_mlflow

LONGEST_REQUEST_ID = 50
MOST_LINKS = 100
AT_ONCE = 4
STORED = "mlflow.trace.spansLocation"
"""MLflow's own tag of a trace whose spans have arrived."""
PREVIEW = 900


def write_traces(client: Any, gate: Gate, arm: OpenArm, evidence: Evidence, plan: Plan) -> None:
    """Send the traces of an arm that are not there yet, and link them all to the gate's run."""
    from mlflow.tracing.client import TracingClient

    traces = TracingClient(client.tracking_uri)
    cases = {prompt.id: prompt for prompt in evidence.prompts}
    answers = [response for response in evidence.responses if response.arm is arm.arm]
    grades, judged = by_answer(evidence.scores), frozenset(plan.judges)
    stored = traces_of(client, gate.experiment_id, arm.run_id)
    there = {trace.info.trace_id for trace in stored if STORED in trace.info.tags}
    missing = [answer for answer in answers if trace_id(gate.run_id, answer) not in there]
    for part in parts(missing, MOST_LINKS):
        infos = [
            _info(gate, arm, cases[r.id], r, _assessments(gate, cases[r.id], r, grades.get(_key(r), ()), judged))
            for r in part
        ]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(traces.start_trace, infos))
        traces.log_spans(gate.experiment_id, [_span(gate, cases[r.id], r) for r in part])
    for part in parts(answers, MOST_LINKS):
        client.link_traces_to_run([trace_id(gate.run_id, r) for r in part], gate.run_id)


def request_id(prompt: Prompt, response: Response) -> str:
    """`case:repeat:arm`; a digest stands for a case whose id is too long for MLflow."""
    tail = f":{response.repeat}:{response.arm.value}"
    case = text_for_mlflow(prompt.id)
    return (case if len(case + tail) <= LONGEST_REQUEST_ID else prompt.digest[:24]) + tail


def trace_id(run_id: str, response: Response) -> str:
    """The id of an answer's trace in the gate of a run."""
    name = json.dumps([run_id, response.id, response.repeat, response.arm.value])
    return f"tr-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _key(response: Response) -> Any:
    return response.id, response.arm, response.repeat


def traces_of(client: Any, experiment_id: str, run_id: str) -> Iterator[Any]:
    """Every trace of a run, without its spans."""
    token: str | None = None
    while True:
        page = client.search_traces(
            locations=[experiment_id], run_id=run_id, include_spans=False, max_results=500, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def _info(gate: Gate, arm: OpenArm, prompt: Prompt, response: Response, assessments: list[Any]) -> Any:
    from mlflow.entities import TraceInfo, TraceLocation, TraceState

    tags = {
        "mlflow.traceName": "answer",
        "gate.case": prompt.id,
        "gate.stratum": prompt.stratum,
        "gate.arm": response.arm.value,
        "gate.repeat": str(response.repeat),
    }
    return TraceInfo(
        trace_id=trace_id(gate.run_id, response),
        trace_location=TraceLocation.from_experiment_id(gate.experiment_id),
        request_time=_start(gate, response),
        execution_duration=_duration(response),
        state=TraceState.OK if response.error is None else TraceState.ERROR,
        request_preview=text_for_mlflow(question(prompt), PREVIEW),
        response_preview=text_for_mlflow(response.output, PREVIEW),
        client_request_id=request_id(prompt, response),
        trace_metadata={
            "mlflow.sourceRun": arm.run_id,
            "mlflow.modelId": arm.model_id,
            "mlflow.trace_schema.version": "3",
        },
        tags={key: text_for_mlflow(value, 4000) for key, value in tags.items()},
        assessments=assessments,
    )


def _assessments(
    gate: Gate, prompt: Prompt, response: Response, scores: Sequence[Score], judged: frozenset[str]
) -> list[Any]:
    """A feedback per score; an abstention is one with an error, as MLflow has it."""
    from mlflow.entities import AssessmentError, AssessmentSource, Feedback

    made = []
    for score in scores:
        value = feedback_value(score)
        lacking = AssessmentError("ABSTAINED", text_for_mlflow(score.reason or "no grade", 2000))
        feedback = Feedback(
            name=text_for_mlflow(score.metric, 200),
            value=value,
            error=lacking if value is None else None,
            source=AssessmentSource("LLM_JUDGE" if score.metric in judged else "CODE", "canary-gate"),
            rationale=text_for_mlflow(score.reason, 4000) or None,
            metadata={"stratum": text_for_mlflow(prompt.stratum, 200)},
            trace_id=trace_id(gate.run_id, response),
        )
        name = f"{trace_id(gate.run_id, response)}/{score.metric}"
        feedback.assessment_id = f"a-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:32]}"
        made.append(feedback)
    return made


def _span(gate: Gate, prompt: Prompt, response: Response) -> Any:
    """The one span of an answer: what was asked, what came, how long it took."""
    from mlflow.entities import Span

    id_ = trace_id(gate.run_id, response)
    start = _start(gate, response) * 1_000_000
    error = response.error
    return Span.from_dict(
        {
            "trace_id": _base64(id_.removeprefix("tr-")),
            "span_id": _base64(id_.removeprefix("tr-")[:16]),
            "parent_span_id": "",
            "name": "answer",
            "start_time_unix_nano": start,
            "end_time_unix_nano": start + (_duration(response) or 0) * 1_000_000,
            "events": [],
            "status": {
                "code": "STATUS_CODE_OK" if error is None else "STATUS_CODE_ERROR",
                "message": "" if error is None else text_for_mlflow(f"{error.kind}: {error.message}", 2000),
            },
            "attributes": {key: json.dumps(value) for key, value in _attributes(id_, prompt, response).items()},
        }
    )


def _attributes(id_: str, prompt: Prompt, response: Response) -> Mapping[str, Any]:
    measured = ("ttft_s", "total_s", "input_tokens", "output_tokens", "cached_tokens", "cost_usd", "finish_reason")
    known = {name: value for name in measured if (value := getattr(response, name)) is not None}
    asked = prompt.vars if prompt.messages is None else {"messages": list(prompt.messages)}
    return {
        "mlflow.traceRequestId": id_,
        "mlflow.spanType": "LLM",
        "mlflow.spanInputs": _clean(asked),
        "mlflow.spanOutputs": text_for_mlflow(response.output),
        **known,
    }


def _clean(value: Any) -> Any:
    """A JSON value whose texts every store takes."""
    if isinstance(value, Mapping):
        return {text_for_mlflow(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return text_for_mlflow(value) if isinstance(value, str) else value


def _start(gate: Gate, response: Response) -> int:
    """Milliseconds since the epoch; the seal's where the answer's own is not recorded."""
    return gate.timestamp if response.started_at is None else int(response.started_at * 1000)


def _duration(response: Response) -> int | None:
    """Milliseconds."""
    return None if response.total_s is None else int(response.total_s * 1000)


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
