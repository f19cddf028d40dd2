"""Every case with both outputs, as data that the page's script shows.

Changed cases come first and keep most of their text; what is cut is counted,
and the run directory has all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from canary.plan import Plan
from canary.records import Arm, Evidence, Prompt, Response, Score
from canary.reporters.flips import Flip, asked
from canary.reporters.html.embed import embed
from canary.signals.wording import dollars, seconds

MOST_BYTES = 11_000_000
"""Of cases in one page."""
MOST_CASES = 25_000
_CHANGED_SHARE = 0.6
_CHANGED_TEXT = 8_000
_SAME_TEXT = 2_000
_REASON = 300
_NAME = 200
_METRICS = 50

DIRECTIONS = ("lost", "won", "both fail", "unscored", "both pass")
"""How a case can stand, in the order a reader wants them."""

Key = tuple[str, int]
Grades = Mapping[Arm, Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """What the page's script needs, and what the page says without it."""

    data: str
    """JSON, safe inside a script element."""
    strata: tuple[str, ...]
    metrics: tuple[str, ...]
    counts: Mapping[str, int]
    total: int
    left_out: int
    """Cases beyond what one page holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    prompt: Prompt
    repeat: int
    grades: Mapping[str, Grades]
    direction: str
    drop: float


def browse(evidence: Evidence, plan: Plan, *, first: Sequence[Flip], arms: tuple[str, str]) -> Browser:
    """All cases of both arms; those in `first` lead, in their order."""
    cases = _cases(evidence, plan)
    leading = {(flip.prompt.id, flip.repeat): place for place, flip in enumerate(first)}
    cases.sort(
        key=lambda c: (
            leading.get((c.prompt.id, c.repeat), len(leading)),
            DIRECTIONS.index(c.direction),
            -c.drop,
            c.prompt.id,
            c.repeat,
        )
    )
    strata = tuple(sorted({case.prompt.stratum for case in cases}))
    metrics = tuple(sorted({metric for case in cases for metric in case.grades}))
    rows = _rows(cases[:MOST_CASES], evidence, strata, metrics)
    head = {"arms": arms, "strata": [s[:_NAME] for s in strata], "metrics": [m[:_NAME] for m in metrics]}
    head |= {"directions": DIRECTIONS}
    return Browser(
        data=f'{{"head":{embed(head)},"cases":[{",".join(rows)}]}}',
        strata=strata,
        metrics=metrics,
        counts={name: sum(case.direction == name for case in cases) for name in DIRECTIONS},
        total=len(cases),
        left_out=len(cases) - len(rows),
    )


def _cases(evidence: Evidence, plan: Plan) -> list[_Case]:
    prompts = {prompt.id: prompt for prompt in evidence.prompts}
    grades: dict[Key, dict[str, dict[Arm, Score]]] = {
        (id_, repeat): {} for id_ in prompts for repeat in range(plan.suite.repeat)
    }
    for score in evidence.scores:
        if (key := (score.id, score.repeat)) in grades:
            grades[key].setdefault(score.metric, {})[score.arm] = score
    deciding = _deciding(plan, {metric for of_case in grades.values() for metric in of_case})
    return [
        _case(prompts[id_], repeat, {metric: of_case[metric] for metric in sorted(of_case)}, deciding)
        for (id_, repeat), of_case in grades.items()
    ]


def _deciding(plan: Plan, metrics: set[str]) -> set[str]:
    """The metrics a case is said to be lost or won by: `pass` where there is one."""
    named = {name for name, rule in plan.policy.quality.metrics.items() if rule.tier == "blocking"} & metrics
    return ({"pass"} & metrics) | named or metrics


def _case(prompt: Prompt, repeat: int, grades: Mapping[str, Grades], deciding: set[str]) -> _Case:
    directions = [_direction(of_metric) for metric, of_metric in grades.items() if metric in deciding]
    return _Case(
        prompt=prompt,
        repeat=repeat,
        grades=grades,
        direction=min(directions, key=DIRECTIONS.index, default="unscored"),
        drop=max((_drop(of_metric) for of_metric in grades.values()), default=0.0),
    )


def _direction(grades: Grades) -> str:
    """Lost and won as `flips` has them: by the yes or no, else by the value."""
    before, after = (grades.get(arm) for arm in Arm)
    if before is None or after is None or before.value is None or after.value is None:
        return "unscored"
    if before.passed == after.passed and before.passed is not None:
        return "both pass" if before.passed else "both fail"
    drop = _drop(grades)
    return "lost" if drop > 0 else "won" if drop < 0 else "both pass"


def _drop(grades: Grades) -> float:
    before, after = (grades.get(arm) for arm in Arm)
    if before is None or after is None or before.value is None or after.value is None:
        return 0.0
    return before.value - after.value


def _rows(cases: Sequence[_Case], evidence: Evidence, strata: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """Each case as JSON; texts shrink as the page fills up."""
    answers = {(r.id, r.repeat, r.arm): r for r in evidence.responses}
    stratum = {name: number for number, name in enumerate(strata)}
    metric = {name: number for number, name in enumerate(metrics)}
    changed = sum(case.direction in {"lost", "won"} for case in cases)
    left = MOST_BYTES * _CHANGED_SHARE if changed < len(cases) else MOST_BYTES
    used = 0
    rows: list[str] = []
    for place, case in enumerate(cases):
        if place == changed:
            left = MOST_BYTES - used
        if used >= MOST_BYTES:
            break
        share = left / ((changed if place < changed else len(cases)) - place)
        most = int(min(share / 3, _CHANGED_TEXT if place < changed else _SAME_TEXT))
        sides = [answers.get((case.prompt.id, case.repeat, arm)) for arm in Arm]
        grades = [_grade(metric[name], of_metric, max(0, most)) for name, of_metric in case.grades.items()]
        row = embed(_row(case, sides, stratum[case.prompt.stratum], max(0, most)) | {"m": grades[:_METRICS]})
        rows.append(row)
        used, left = used + len(row.encode()), left - len(row.encode())
    return rows


def _row(case: _Case, sides: Sequence[Response | None], stratum: int, most: int) -> dict[str, object]:
    row: dict[str, object] = {
        "i": case.prompt.id[:_NAME],
        "s": stratum,
        "d": DIRECTIONS.index(case.direction),
        "q": _cut(asked(case.prompt), most),
        "b": _answer(sides[0], most),
        "c": _answer(sides[1], most),
    }
    if case.repeat:
        row["r"] = case.repeat
    if case.prompt.expected is not None:
        row["e"] = _cut(str(case.prompt.expected), most)
    return row


def _cut(text: str, most: int) -> str | list[object]:
    """The text, or its beginning and how many characters are left out."""
    return text if len(text) <= most else [text[:most], len(text) - most]


def _answer(response: Response | None, most: int) -> dict[str, object]:
    """One arm's answer: its text, its error, what it took."""
    if response is None:
        return {"none": True}
    answer: dict[str, object] = {"t": _cut(response.output, most)}
    if response.error is not None:
        answer["x"] = [response.error.kind.value, _cut(response.error.message, min(most, _REASON))]
    if took := _took(response):
        answer["f"] = took
    return answer


def _took(response: Response) -> str:
    told: Iterable[tuple[float | None, str]] = (
        (response.ttft_s, f"first token {seconds(response.ttft_s or 0)}"),
        (response.total_s, f"total {seconds(response.total_s or 0)}"),
        (response.output_tokens, f"{response.output_tokens or 0:,} tokens"),
        (response.cost_usd, dollars(response.cost_usd or 0)),
    )
    return " · ".join(text for value, text in told if value is not None)


def _grade(number: int, grades: Grades, most: int) -> list[object]:
    """Metric, direction, both values, both reasons."""
    scores = [grades.get(arm) for arm in Arm]
    return [
        number,
        DIRECTIONS.index(_direction(grades)),
        *(None if score is None else _yes_or_no(score) for score in scores),
        *("" if score is None else _cut(score.reason, min(most, _REASON)) for score in scores),
    ]


def _yes_or_no(score: Score) -> bool | float | None:
    if score.value is None:
        return None
    return score.passed if score.value in (0.0, 1.0) and score.passed is not None else round(score.value, 4)
