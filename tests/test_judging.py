"""Who decides a judged metric, and whether it may."""

from __future__ import annotations

from typing import Any

import pytest

from canary.judging import (
    JudgeCalibration,
    JudgePlan,
    graded_by_judge_alone,
    is_blocking,
    judge_digest,
    judged_specs,
)
from canary.policy import Policy
from canary.records import Prompt

RUBRIC = {"type": "llm-rubric", "value": "is polite", "metric": "polite"}


def case(*asserts: dict[str, Any]) -> Prompt:
    """A case with its own assertions."""
    return Prompt(
        id="a", digest="d", stratum="s", cluster="a", vars={}, messages=None, expected=None, asserts=asserts
    )  # fmt: skip


def test_a_judge_is_its_release_its_words_and_its_votes() -> None:
    """Each of them changes the digest; the metric's name and the order of assertions do not."""
    other = {"type": "llm-rubric", "value": "is short", "metric": "polite"}
    known = judge_digest("r", [RUBRIC, other], 1)

    assert known == judge_digest("r", [other, {**RUBRIC, "metric": "manners"}], 1)
    assert known == judge_digest("r", [RUBRIC, other, RUBRIC], 1)
    assert len({known, *(judge_digest(*it) for it in (("q", [RUBRIC, other], 1), ("r", [RUBRIC], 1)))}) == 3
    assert known != judge_digest("r", [RUBRIC, other], 3)
    assert judge_digest("r", [RUBRIC], 3) == judge_digest("r", [{**RUBRIC, "votes": 3}], 1)


@pytest.mark.parametrize(
    ("calibration", "state"),
    [
        (None, "uncalibrated"),
        (JudgeCalibration(judge="other", fit=True, reason=""), "uncalibrated"),
        (JudgeCalibration(judge="d", fit=False, reason="J is 0.1"), "unfit"),
        (JudgeCalibration(judge="d", fit=True, reason=""), "calibrated"),
    ],
)
def test_only_a_fit_calibration_of_this_very_judge_lets_it_decide(
    calibration: JudgeCalibration | None, state: str
) -> None:
    """A calibration of another judge is none."""
    judge = JudgePlan(digest="d", cases=1, calibration=calibration)

    assert judge.state == state
    assert bool(judge.problem) is (state != "calibrated")


def test_judged_assertions_are_told_by_their_type_negated_or_not() -> None:
    """Defaults and cases' own, by metric."""
    negated = {"type": "not-factuality", "value": "x"}
    plain = {"type": "equals", "value": "x"}

    assert judged_specs([RUBRIC], [case(negated, plain)]) == {"not-factuality": (negated,), "polite": (RUBRIC,)}
    assert graded_by_judge_alone(case(negated), [RUBRIC]) == ("not-factuality", "polite")
    assert graded_by_judge_alone(case(plain), [RUBRIC]) == ()
    assert graded_by_judge_alone(case(), []) == ()


def test_a_judged_metric_blocks_only_where_the_policy_says_so() -> None:
    """The default is to show it."""
    policy = Policy.model_validate({"quality": {"metrics": {"polite": {}, "tone": {"tier": "advisory"}}}})

    assert [is_blocking(metric, policy) for metric in ("polite", "tone", "other")] == [True, False, False]
