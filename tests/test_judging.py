"""Who decides a judged metric, and whether it may."""

from __future__ import annotations

from typing import Any

import pytest

from canary.agreement import JudgeCalibration
from canary.judging import (
    JudgePlan,
    graded_by_judge_alone,
    is_blocking,
    judge_digest,
    judged_specs,
)
from canary.policy import Policy
from canary.records import Prompt
from canary.run.agreement import Verdicts, agreements_of

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
    ("judge", "stratum", "state"),
    [
        (None, "all", "uncalibrated"),
        ("e" * 64, "all", "stale"),
        ("d" * 64, "all", "calibrated"),
        ("d" * 64, "hard", "unfit"),
        ("d" * 64, "other", "uncalibrated"),
    ],
)
def test_only_a_fit_calibration_of_this_very_judge_lets_it_decide(judge: str | None, stratum: str, state: str) -> None:
    """A calibration of another judge is none, nor is one of another stratum."""
    known = None if judge is None else calibrated(judge)

    assert JudgePlan(digest="d" * 64, cases=1, calibration=known).state(stratum) == state


def calibrated(judge: str) -> JudgeCalibration:
    """A judge that is good over all, and a coin on the stratum `hard`."""
    parts = agreements_of(
        [Verdicts(stratum=None, label=label, said=label) for label in (True, False) * 50]
        + [Verdicts(stratum="hard", label=label, said=said) for label in (True, False) for said in (True, False) * 5]
    )
    return JudgeCalibration(
        metric="polite", judge=judge, labels="0" * 64, asked=False, abstained=0, fit=True, reason="", strata=parts
    )


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
