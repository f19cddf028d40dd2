"""Every case with both answers, as MLflow shows a table."""

from __future__ import annotations

import json
from typing import Any

from canary.records import Arm, Evidence, Prompt, Response
from canary.reporters.mlflow.names import by_answer, feedback_value
from canary.tracking import text_for_mlflow

LONGEST = 4000
"""Characters of one text in a cell; the record has all of it."""


def case_table(evidence: Evidence) -> dict[str, Any]:
    """One row per case and repeat, in the order of their names."""
    metrics = sorted({score.metric for score in evidence.scores})
    grades = by_answer(evidence.scores)
    answers = {(r.id, r.repeat, r.arm): r for r in evidence.responses}
    cases = {prompt.id: prompt for prompt in evidence.prompts}
    columns = ["case", "stratum", "repeat", "question", "expected"]
    columns += [column for arm in Arm for column in (f"{arm.value} output", f"{arm.value} error")]
    columns += [f"{arm.value} {metric}" for metric in metrics for arm in Arm]
    data = []
    for id_, repeat in sorted({(r.id, r.repeat) for r in evidence.responses}):
        row: list[Any] = [id_, cases[id_].stratum, repeat, question(cases[id_]), expected(cases[id_])]
        for arm in Arm:
            row += _answer(answers.get((id_, repeat, arm)))
        own = {(arm, s.metric): feedback_value(s) for arm in Arm for s in grades.get((id_, arm, repeat), ())}
        row += [own.get((arm, metric)) for metric in metrics for arm in Arm]
        data.append([text_for_mlflow(cell, LONGEST) if isinstance(cell, str) else cell for cell in row])
    return {"columns": [text_for_mlflow(column) for column in columns], "data": data}


def question(prompt: Prompt) -> str:
    """What was asked, as JSON."""
    return json.dumps(prompt.vars if prompt.messages is None else prompt.messages, ensure_ascii=False, default=str)


def expected(prompt: Prompt) -> str:
    """What was expected; JSON where it is no text, empty where nothing was."""
    if prompt.expected is None or isinstance(prompt.expected, str):
        return prompt.expected or ""
    return json.dumps(prompt.expected, ensure_ascii=False, default=str)


def _answer(response: Response | None) -> tuple[str | None, str | None]:
    if response is None:
        return None, None
    return response.output, None if response.error is None else f"{response.error.kind}: {response.error.message}"
