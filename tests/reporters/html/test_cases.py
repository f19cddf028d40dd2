"""Cases as data: which come first, how much of them is kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from canary.plan import Plan
from canary.records import Arm, Evidence, Scale
from canary.reporters.html import cases as module
from canary.reporters.html.cases import Browser, browse

MakeEvidence = Callable[..., Evidence]
ARMS = ("baseline", "candidate")


def read(browser: Browser) -> list[dict[str, Any]]:
    """The rows as the page's script sees them."""
    document: dict[str, Any] = json.loads(browser.data)
    rows: list[dict[str, Any]] = document["cases"]
    return [row | {"d": document["head"]["directions"][row["d"]]} for row in rows]


def test_every_case_stands_somewhere(make_evidence: MakeEvidence, plan: Plan) -> None:
    """Lost, won and unchanged cases are counted, lost ones first."""
    found = browse(make_evidence(), plan, first=(), arms=ARMS)
    rows = read(found)

    # of CASES: four are right in the baseline only, one in the candidate only, one in both
    assert found.counts == {"lost": 4, "won": 1, "both fail": 0, "unscored": 0, "both pass": 1}
    assert found.total == len(rows) == 6
    assert [row["d"] for row in rows] == ["lost"] * 4 + ["won", "both pass"]


def test_a_case_without_both_scores_is_unscored(make_evidence: MakeEvidence, plan: Plan) -> None:
    """Missing answers are no loss and no pass."""
    made = make_evidence()
    cut = dataclasses.replace(
        made,
        responses=tuple(r for r in made.responses if r.arm is Arm.BASELINE),
        scores=tuple(s for s in made.scores if s.arm is Arm.BASELINE),
    )
    rows = read(browse(cut, plan, first=(), arms=ARMS))

    assert {row["d"] for row in rows} == {"unscored"}
    assert all(row["c"] == {"none": True} for row in rows)


def test_scores_without_a_yes_flip_by_value(make_evidence: MakeEvidence, plan: Plan) -> None:
    """A bounded score that fell is a loss."""
    made = make_evidence(scale=Scale.BOUNDED)
    graded = tuple(dataclasses.replace(s, passed=None) for s in made.scores)
    found = browse(dataclasses.replace(made, scores=graded), plan, first=(), arms=ARMS)

    assert found.counts["lost"] == 4


def test_long_text_is_cut_and_counted(make_evidence: MakeEvidence, plan: Plan) -> None:
    """Ten megabytes of output keep their beginning, and the rest is counted."""
    found = browse(make_evidence(outputs={"math-1": "x" * 10_000_000}), plan, first=(), arms=ARMS)
    (row,) = [row for row in read(found) if row["i"] == "math-1"]

    assert row["c"]["t"] == ["x" * 8000, 10_000_000 - 8000]


@pytest.mark.parametrize("character", ["x", "\x00", "日", "<"])
def test_a_page_never_grows_beyond_its_bytes(
    character: str, make_evidence: MakeEvidence, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many and long the texts, and however they inflate, the limit holds; changed cases are kept."""
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)
    many = {f"c{i}": ("lookup", "q", "7", "7", "7" if i else "8") for i in range(600)}
    outputs = {id_: character * 3000 for id_ in many if id_ != "c0"}
    found = browse(make_evidence(outputs=outputs, cases=many), plan, first=(), arms=ARMS)
    rows = read(found)

    assert len(found.data.encode()) < 110_000
    assert found.left_out == 600 - len(rows)
    assert rows[0]["d"] == "lost"


def test_repeats_are_cases_of_their_own(make_evidence: MakeEvidence, plan: Plan) -> None:
    """The second answer to a question is shown beside the first."""
    twice = plan.model_copy(update={"suite": plan.suite.model_copy(update={"repeat": 2})})
    made = make_evidence()
    both = dataclasses.replace(
        made,
        responses=(*made.responses, *(dataclasses.replace(r, repeat=1) for r in made.responses)),
        scores=(*made.scores, *(dataclasses.replace(s, repeat=1) for s in made.scores)),
    )
    rows = read(browse(both, twice, first=(), arms=ARMS))

    assert len(rows) == 12
    assert sorted(row.get("r", 0) for row in rows) == [0] * 6 + [1] * 6
